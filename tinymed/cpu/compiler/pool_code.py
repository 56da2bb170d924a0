"""The pool of threads in LLVM's language: what runs between a kernel's `parallel_for` and its return.

A region is a kernel's loop cut into chunks.  Each thread has a ticket, one word: the number of the region, and how many
of its own chunks nobody has taken.  A thread takes a chunk by exchanging the word for one with a chunk less, its own
first (they lie where it was before), then the others'.  So a thread that the system does not let run delays nobody: the
others do its work, on a busy machine the caller all of it.  The number of the region in the word tells a thread that
wakes late that what it read about the region no longer holds.

Who waits, a worker for the next region or the caller for the last chunk, looks again and again for a while, because
the next kernel comes after microseconds, and then sleeps until it is woken.  A worker that slept in vain, because the
next region came late, looks for half as long the next time; one that found work while looking, for as long as ever.
"""

from textwrap import dedent

MOST = 256  # threads
LINE = 16  # words from one ticket to the next, two cache lines: what one thread writes no other waits for
SPIN, LEAST_SPIN = 2000, 20  # times that a waiting thread looks before it sleeps
CHUNKS = 4  # of a region for each thread

NAMES = (  # what is reached from outside, beside what kernels call
    "tinymed_pool_worker",
    "tinymed_pool_key",
    "tinymed_pool_workers",
    "tinymed_pool_busy",
    "tinymed_pool_lock",
    "tinymed_pool_woken",
    "tinymed_pool_finished",
)
PAUSE = {
    "x86_64": "call void @llvm.x86.sse2.pause()",
    "aarch64": 'call void asm sideeffect "yield", ""()',
}


def source(machine: str) -> str:
    """Return the pool as the text of an LLVM module for a kind of machine: "x86_64", "aarch64" or another."""
    pause = PAUSE.get(machine, "")
    declared = "declare void @llvm.x86.sse2.pause()" if machine == "x86_64" else ""
    return dedent(CODE).replace("PAUSE", pause).replace("DECLARED", declared) % {
        "most": MOST,
        "line": LINE,
        "words": MOST * LINE,
        "spin": SPIN,
        "least": LEAST_SPIN,
        "chunks": CHUNKS,
    }


CODE = """
DECLARED
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare ptr @pthread_getspecific(i64)
declare i32 @pthread_setspecific(i64, ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

@tinymed_pool_key = global i64 0                  ; under it each thread keeps its number; the caller's is 0
@tinymed_pool_workers = global i64 0              ; threads beside the caller
@tinymed_pool_busy = global i64 0, align 128      ; 1 while a region runs
@tinymed_pool_sleepers = global i64 0, align 128  ; workers that must be woken
@tinymed_pool_waiting = global i64 0, align 128   ; 1 while the caller must be woken
@tinymed_pool_lock = global [16 x i64] zeroinitializer, align 128
@tinymed_pool_woken = global [16 x i64] zeroinitializer, align 128     ; condition: there is a region
@tinymed_pool_finished = global [16 x i64] zeroinitializer, align 128  ; condition: the region is done
@region = internal global i64 0, align 128                 ; its number
@done = internal global i64 0, align 128                   ; chunks of it that are computed
@tickets = internal global [%(words)d x i64] zeroinitializer, align 128
; what is called, with what, and how much of it there is
@fn = internal global ptr null, align 128
@args = internal global ptr null
@dims = internal global ptr null
@steps = internal global ptr null
@data = internal global ptr null
@inner = internal global i64 0
@arrays = internal global i64 0
@threads = internal global i64 0
@total = internal global i64 0

define i64 @tinymed_thread_number() {
  %%key = load i64, ptr @tinymed_pool_key
  %%kept = call ptr @pthread_getspecific(i64 %%key)
  %%number = ptrtoint ptr %%kept to i64
  ret i64 %%number
}

; How many chunks a loop is cut into: several for each thread, no more than it has turns.
define i64 @tinymed_chunk_count(i64 %%threads, i64 %%axes, ptr %%starts, ptr %%stops) {
  %%several = mul i64 %%threads, %(chunks)d
  %%one = icmp eq i64 %%threads, 1
  %%wanted = select i1 %%one, i64 1, i64 %%several
  %%line = icmp eq i64 %%axes, 1
  br i1 %%line, label %%count, label %%any
count:
  %%start = load i64, ptr %%starts
  %%stop = load i64, ptr %%stops
  %%size = sub i64 %%stop, %%start
  %%turns = add i64 %%size, 1
  %%few = icmp slt i64 %%turns, %%wanted
  %%fewer = select i1 %%few, i64 %%turns, i64 %%wanted
  %%none = icmp slt i64 %%fewer, 1
  %%result = select i1 %%none, i64 1, i64 %%fewer
  ret i64 %%result
any:
  ret i64 %%threads
}

; Compute one chunk: the kernel's loop with its arguments moved on to the chunk.
define internal void @compute(i64 %%chunk) noinline {
  %%arrays = load i64, ptr @arrays
  %%inner = load i64, ptr @inner
  %%sizes = add i64 %%inner, 1
  %%args = load ptr, ptr @args
  %%dims = load ptr, ptr @dims
  %%steps = load ptr, ptr @steps
  %%data = load ptr, ptr @data
  %%fn = load ptr, ptr @fn
  %%own = alloca ptr, i64 %%arrays
  %%size = alloca i64, i64 %%sizes
  %%bytes = mul i64 %%sizes, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %%size, ptr %%dims, i64 %%bytes, i1 false)
  store i64 1, ptr %%size
  br label %%next
next:
  %%i = phi i64 [0, %%0], [%%after, %%move]
  %%more = icmp slt i64 %%i, %%arrays
  br i1 %%more, label %%move, label %%call
move:
  %%from = getelementptr ptr, ptr %%args, i64 %%i
  %%first = load ptr, ptr %%from
  %%stride = getelementptr i64, ptr %%steps, i64 %%i
  %%step = load i64, ptr %%stride
  %%shift = mul i64 %%step, %%chunk
  %%moved = getelementptr i8, ptr %%first, i64 %%shift
  %%to = getelementptr ptr, ptr %%own, i64 %%i
  store ptr %%moved, ptr %%to
  %%after = add i64 %%i, 1
  br label %%next
call:
  call void %%fn(ptr %%own, ptr %%size, ptr %%steps, ptr %%data)
  ret void
}

define internal i64 @first_chunk(i64 %%thread, i64 %%threads, i64 %%total) alwaysinline {
  %%all = mul i64 %%thread, %%total
  %%first = udiv i64 %%all, %%threads
  ret i64 %%first
}

; Take chunks of a region and compute them until there is none left that nobody took, beginning with the thread's own.
define internal void @work(i64 %%me, i64 %%region) {
  %%threads = load atomic i64, ptr @threads acquire, align 8
  %%total = load i64, ptr @total
  %%high = shl i64 %%region, 32
  br label %%victim
victim:
  %%offset = phi i64 [0, %%0], [%%offset1, %%exhausted]
  %%all = icmp eq i64 %%offset, %%threads
  br i1 %%all, label %%end, label %%choose
choose:
  %%sum = add i64 %%me, %%offset
  %%over = icmp uge i64 %%sum, %%threads
  %%wrapped = sub i64 %%sum, %%threads
  %%whose = select i1 %%over, i64 %%wrapped, i64 %%sum
  %%word = mul i64 %%whose, %(line)d
  %%ticket = getelementptr i64, ptr @tickets, i64 %%word
  br label %%take
take:
  %%held = load atomic i64, ptr %%ticket seq_cst, align 8
  %%left = and i64 %%held, 4294967295
  %%of = lshr i64 %%held, 32
  %%same = icmp eq i64 %%of, %%region
  %%some = icmp ne i64 %%left, 0
  %%open = and i1 %%same, %%some
  br i1 %%open, label %%exchange, label %%exhausted
exchange:
  %%fewer = sub i64 %%held, 1
  %%pair = cmpxchg ptr %%ticket, i64 %%held, i64 %%fewer seq_cst seq_cst
  %%mine = extractvalue {i64, i1} %%pair, 1
  br i1 %%mine, label %%run, label %%take
run:
  %%behind = add i64 %%whose, 1
  %%end_of_own = call i64 @first_chunk(i64 %%behind, i64 %%threads, i64 %%total)
  %%chunk = sub i64 %%end_of_own, %%left
  call void @compute(i64 %%chunk)
  %%before = atomicrmw add ptr @done, i64 1 seq_cst
  %%now = add i64 %%before, 1
  %%last = icmp eq i64 %%now, %%total
  br i1 %%last, label %%report, label %%take
report:
  %%asleep = load atomic i64, ptr @tinymed_pool_waiting seq_cst, align 8
  %%wake = icmp ne i64 %%asleep, 0
  br i1 %%wake, label %%signal, label %%end
signal:
  call i32 @pthread_mutex_lock(ptr @tinymed_pool_lock)
  call i32 @pthread_cond_broadcast(ptr @tinymed_pool_finished)
  call i32 @pthread_mutex_unlock(ptr @tinymed_pool_lock)
  br label %%end
exhausted:
  %%offset1 = add i64 %%offset, 1
  br label %%victim
end:
  ret void
}

; Run a region on the threads; in a worker, beside another region, or of one chunk, on the calling thread alone.
define void @tinymed_parallel_for(ptr %%fn, ptr %%args, ptr %%dims, ptr %%steps, ptr %%data,
                                  i64 %%inner, i64 %%arrays, i64 %%threads) {
  %%total = load i64, ptr %%dims
  %%number = call i64 @tinymed_thread_number()
  %%nested = icmp ne i64 %%number, 0
  %%one = icmp slt i64 %%total, 2
  %%alone = icmp slt i64 %%threads, 2
  %%workers = load i64, ptr @tinymed_pool_workers
  %%nobody = icmp eq i64 %%workers, 0
  %%a = or i1 %%nested, %%one
  %%b = or i1 %%alone, %%nobody
  %%serial = or i1 %%a, %%b
  br i1 %%serial, label %%directly, label %%try
try:
  %%pair = cmpxchg ptr @tinymed_pool_busy, i64 0, i64 1 seq_cst seq_cst
  %%free = extractvalue {i64, i1} %%pair, 1
  br i1 %%free, label %%describe, label %%directly
directly:
  call void %%fn(ptr %%args, ptr %%dims, ptr %%steps, ptr %%data)
  ret void
describe:
  %%there = add i64 %%workers, 1
  %%many = icmp sgt i64 %%threads, %%there
  %%use = select i1 %%many, i64 %%there, i64 %%threads
  store ptr %%fn, ptr @fn
  store ptr %%args, ptr @args
  store ptr %%dims, ptr @dims
  store ptr %%steps, ptr @steps
  store ptr %%data, ptr @data
  store i64 %%inner, ptr @inner
  store i64 %%arrays, ptr @arrays
  store i64 %%total, ptr @total
  store atomic i64 %%use, ptr @threads release, align 8
  store atomic i64 0, ptr @done seq_cst, align 8
  %%old = load i64, ptr @region
  %%next = add i64 %%old, 1
  %%region = and i64 %%next, 4294967295
  %%high = shl i64 %%region, 32
  br label %%issue
issue:
  %%t = phi i64 [0, %%describe], [%%t1, %%issue]
  %%t1 = add i64 %%t, 1
  %%from = call i64 @first_chunk(i64 %%t, i64 %%use, i64 %%total)
  %%to = call i64 @first_chunk(i64 %%t1, i64 %%use, i64 %%total)
  %%count = sub i64 %%to, %%from
  %%held = or i64 %%high, %%count
  %%word = mul i64 %%t, %(line)d
  %%ticket = getelementptr i64, ptr @tickets, i64 %%word
  store atomic i64 %%held, ptr %%ticket seq_cst, align 8
  %%issued = icmp eq i64 %%t1, %%use
  br i1 %%issued, label %%open, label %%issue
open:
  store atomic i64 %%region, ptr @region seq_cst, align 8
  %%sleepers = load atomic i64, ptr @tinymed_pool_sleepers seq_cst, align 8
  %%wake = icmp ne i64 %%sleepers, 0
  br i1 %%wake, label %%call_them, label %%join
call_them:
  call i32 @pthread_mutex_lock(ptr @tinymed_pool_lock)
  call i32 @pthread_cond_broadcast(ptr @tinymed_pool_woken)
  call i32 @pthread_mutex_unlock(ptr @tinymed_pool_lock)
  br label %%join
join:
  call void @work(i64 0, i64 %%region)
  br label %%look
look:
  %%looked = phi i64 [0, %%join], [%%looked1, %%again]
  %%ready = load atomic i64, ptr @done seq_cst, align 8
  %%complete = icmp eq i64 %%ready, %%total
  br i1 %%complete, label %%leave, label %%patience
patience:
  %%looked1 = add i64 %%looked, 1
  %%enough = icmp eq i64 %%looked1, %(spin)d
  br i1 %%enough, label %%sleep, label %%again
again:
  PAUSE
  br label %%look
sleep:
  call i32 @pthread_mutex_lock(ptr @tinymed_pool_lock)
  store atomic i64 1, ptr @tinymed_pool_waiting seq_cst, align 8
  br label %%check
check:
  %%ready2 = load atomic i64, ptr @done seq_cst, align 8
  %%complete2 = icmp eq i64 %%ready2, %%total
  br i1 %%complete2, label %%wake_up, label %%wait
wait:
  call i32 @pthread_cond_wait(ptr @tinymed_pool_finished, ptr @tinymed_pool_lock)
  br label %%check
wake_up:
  store atomic i64 0, ptr @tinymed_pool_waiting seq_cst, align 8
  call i32 @pthread_mutex_unlock(ptr @tinymed_pool_lock)
  br label %%leave
leave:
  store atomic i64 0, ptr @tinymed_pool_busy seq_cst, align 8
  ret void
}

; The life of a worker: wait for a region of a number that it has not seen, work, and so on for ever.
define ptr @tinymed_pool_worker(ptr %%numbered) {
  %%key = load i64, ptr @tinymed_pool_key
  call i32 @pthread_setspecific(i64 %%key, ptr %%numbered)
  %%me = ptrtoint ptr %%numbered to i64
  br label %%start
start:
  %%seen = phi i64 [0, %%0], [%%region, %%worked]
  %%budget = phi i64 [%(spin)d, %%0], [%%patience, %%worked]
  br label %%look
look:
  %%looked = phi i64 [0, %%start], [%%looked1, %%again]
  %%now = load atomic i64, ptr @region seq_cst, align 8
  %%new = icmp ne i64 %%now, %%seen
  br i1 %%new, label %%found, label %%count
count:
  %%looked1 = add i64 %%looked, 1
  %%enough = icmp sge i64 %%looked1, %%budget
  br i1 %%enough, label %%sleep, label %%again
again:
  PAUSE
  br label %%look
sleep:
  call i32 @pthread_mutex_lock(ptr @tinymed_pool_lock)
  %%others = atomicrmw add ptr @tinymed_pool_sleepers, i64 1 seq_cst
  br label %%check
check:
  %%now2 = load atomic i64, ptr @region seq_cst, align 8
  %%new2 = icmp ne i64 %%now2, %%seen
  br i1 %%new2, label %%wake_up, label %%wait
wait:
  call i32 @pthread_cond_wait(ptr @tinymed_pool_woken, ptr @tinymed_pool_lock)
  br label %%check
wake_up:
  %%left = atomicrmw sub ptr @tinymed_pool_sleepers, i64 1 seq_cst
  call i32 @pthread_mutex_unlock(ptr @tinymed_pool_lock)
  %%half = lshr i64 %%budget, 1
  %%too_little = icmp slt i64 %%half, %(least)d
  %%less = select i1 %%too_little, i64 %(least)d, i64 %%half
  br label %%go
found:
  %%twice = mul i64 %%budget, 2
  %%too_much = icmp sgt i64 %%twice, %(spin)d
  %%more = select i1 %%too_much, i64 %(spin)d, i64 %%twice
  br label %%go
go:
  %%region = phi i64 [%%now, %%found], [%%now2, %%wake_up]
  %%patience = phi i64 [%%more, %%found], [%%less, %%wake_up]
  %%threads = load atomic i64, ptr @threads acquire, align 8
  %%called = icmp slt i64 %%me, %%threads
  br i1 %%called, label %%help, label %%worked
help:
  call void @work(i64 %%me, i64 %%region)
  br label %%worked
worked:
  br label %%start
}
"""
