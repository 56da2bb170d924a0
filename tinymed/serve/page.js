// The page of `tinymed serve`.  Whatever comes from a file or the run is put in as text, never as markup.
"use strict";

const KEY = "tinymed-token";
const find = (id) => document.getElementById(id);
let latest = 0; // the number of the last question: an answer that comes later than the next question is dropped

// The token stands behind # in the address, which browsers do not send; it is kept for this tab and taken away.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
}

function ask(path, options = {}) {
  const token = sessionStorage.getItem(KEY);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
}

function say(text, bad = false) {
  find("state").textContent = text;
  find("state").classList.toggle("bad", bad);
}

function add(parent, kind, text, className) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  parent.append(made);
  return made;
}

const percent = (p) => `${(100 * p).toFixed(1)} %`;
const bytes = (n) => (n >= 1 << 20 ? `${Math.round(n / (1 << 20))} MiB` : `${Math.round(n / 1024)} KiB`);

function precisionText(row) {
  if (!row || row.value === null) return "never given in evaluation";
  return `${percent(row.value)} (${percent(row.low)} to ${percent(row.high)}, n = ${row.n})`;
}

async function open() {
  const response = await ask("/about");
  const locked = response.status === 401;
  find("access").hidden = !locked;
  if (locked) {
    find("about").textContent = "This page needs the token of the server.";
    find("token").focus();
    return null;
  }
  const about = await response.json();
  find("model").textContent = about.run;
  find("notice").textContent = about.notice;
  const classes = about.classes.length ? `: ${about.classes.join(", ")}` : "";
  find("about").textContent = `${about.model}, ${about.task}${classes}`;
  find("limits").textContent = `One image, at most ${bytes(about.limits.upload)}. It is not kept.`;
  find("explains").hidden = !about.explains;
  find("drop").hidden = false;
  return about;
}

function showPicture(address, caption, wide = false) {
  const figure = add(find("pictures"), "figure", undefined, wide ? "wide" : "");
  const image = add(figure, "img");
  image.src = address;
  image.alt = caption;
  add(figure, "figcaption", caption);
}

function showScores(found, about) {
  const body = find("scores").tBodies[0];
  body.replaceChildren();
  find("scores").hidden = !found.scores;
  if (!found.scores) return;
  const rows = Object.entries(found.scores).sort((a, b) => b[1] - a[1]);
  for (const [name, p] of rows) {
    const row = add(body, "tr", undefined, name === found.label ? "chosen" : "");
    add(row, "th", name).scope = "row";
    add(row, "td", percent(p), "number");
    const meter = add(add(row, "td", undefined, "bar"), "meter");
    meter.value = p;
    meter.title = percent(p);
    add(row, "td", precisionText(about.precision.find((each) => each.class === name)), "number");
  }
}

// What other tasks than classification say: numbers, grades, sizes of masks, boxes.
function showNumbers(found) {
  const left = new Set(["scores", "label", "percentage", "precision", "explanation", "picture", "notice", "milliseconds",
    "decided_by", "things"]);
  const rows = Object.entries(found).filter(([key]) => !left.has(key));
  const body = find("numbers").tBodies[0];
  body.replaceChildren();
  find("numbers").hidden = !rows.length;
  for (const [key, value] of rows) {
    const nested = value !== null && typeof value === "object" && !Array.isArray(value);
    for (const [name, each] of nested ? Object.entries(value) : [["", value]]) {
      const row = add(body, "tr");
      add(row, "th", [key.replaceAll("_", " "), name].filter(Boolean).join(": ")).scope = "row";
      add(row, "td", typeof each === "object" ? JSON.stringify(each) : String(each), "number");
    }
  }
}

function show(found, about) {
  find("answer").textContent = found.label === undefined ? "Result" : `${found.label}: ${found.percentage.toFixed(1)} %`;
  const known = found.precision;
  find("reliability").textContent = known && known.value !== null
    ? `When the run gave ${known.class} in its evaluation it was right ${precisionText(known)}.` : "";
  find("decided").textContent = (found.decided_by || []).join("; ");
  find("pictures").replaceChildren();
  const told = found.explanation;
  const plane = about.size.length > 2 ? ", one plane of the volume" : "";
  if (found.picture) showPicture(found.picture, about.draws ? "what was found" : `as the network sees it${plane}`, about.draws);
  if (told && told.picture) showPicture(told.picture, `${told.method} of ${told.layer} for ${told.class}`);
  if (told && told.error) add(find("pictures"), "p", `No explanation: ${told.error}`, "hint");
  showScores(found, about);
  showNumbers(found);
  find("time").textContent = `${found.milliseconds} ms`;
  find("result").hidden = false;
}

async function send(file, about) {
  const number = ++latest;
  find("result").hidden = true;
  if (file.size > about.limits.upload) {
    say(`${file.name}: larger than ${bytes(about.limits.upload)}`, true);
    return;
  }
  say(`${file.name}: asking the network ...`);
  const form = new FormData();
  form.append("explain", find("explain").checked ? "1" : "0");
  form.append("image", file);
  try {
    const response = await ask("/predict", { method: "POST", body: form });
    const found = await response.json();
    if (number !== latest) return;
    if (!response.ok) {
      const again = response.headers.get("Retry-After");
      say(`${file.name}: ${found.error}${again ? ` in ${again} s` : ""}`, true);
      return;
    }
    say(file.name);
    show(found, about);
  } catch {
    if (number === latest) say("The server does not answer; is it still running?", true);
  }
}

async function main() {
  takeToken();
  find("access").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, find("token").value.trim());
    location.reload();
  });
  let about = null;
  try {
    about = await open();
  } catch {
    find("about").textContent = "The server does not answer; is it still running?";
  }
  if (!about) return;
  const drop = find("drop");
  const stop = (event) => event.preventDefault();
  for (const kind of ["dragover", "drop"]) window.addEventListener(kind, stop); // a missed drop must not open the file
  drop.addEventListener("dragover", () => drop.classList.add("over"));
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (file) send(file, about);
  });
  find("file").addEventListener("change", (event) => {
    const file = event.target.files[0];
    if (file) send(file, about);
    event.target.value = ""; // the same file may be chosen again
  });
}

main();
