"""The papers' CNN in JAX, channels-last: a rival of the whole-model benchmark, with weights of the PyTorch twin.

Pooling is a reshape and a maximum, twice as quick in XLA's CPU backend as `reduce_window` and its gradient.
"""

from typing import Any

import numpy as np

EPS, RATE = 1e-3, 0.01  # of batch norm


def weights(torch: Any, model: Any) -> tuple[list[Any], list[Any]]:
    """(parameters, running statistics) of the PyTorch twin, layer by layer; filters as (row, column, in, out)."""
    parameters, statistics, side = [], [], None
    for m in model:
        if isinstance(m, torch.nn.Conv2d):
            parameters.append((m.weight.detach().numpy().transpose(2, 3, 1, 0), m.bias.detach().numpy()))
            side = m.out_channels
        elif isinstance(m, torch.nn.BatchNorm2d):
            parameters.append((m.weight.detach().numpy(), m.bias.detach().numpy()))
            statistics.append((m.running_mean.numpy(), m.running_var.numpy()))
        elif isinstance(m, torch.nn.Linear):
            w = m.weight.detach().numpy()
            if side:  # flattened channels-last here, channels-first there
                pixels = w.shape[1] // side
                w, side = w.reshape(len(w), side, pixels).transpose(0, 2, 1).reshape(len(w), -1), None
            parameters.append((np.ascontiguousarray(w.T), m.bias.detach().numpy()))
    return parameters, statistics


def forward(jax: Any, parameters: Any, statistics: Any, x: Any, padding: str, key: Any, train: bool) -> Any:
    """(logits, new running statistics)."""
    jnp, layers, moved = jax.numpy, iter(parameters), []

    def dropout(x: Any, p: float, key: Any) -> Any:
        return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0.0) if train else x

    for i in range(4):
        w, b = next(layers)
        numbers = ("NHWC", "HWIO", "NHWC")
        x = jax.nn.relu(jax.lax.conv_general_dilated(x, w, (1, 1), padding, dimension_numbers=numbers) + b)
        n, h, v, c = x.shape
        x = x[:, : h // 2 * 2, : v // 2 * 2].reshape(n, h // 2, 2, v // 2, 2, c).max((2, 4))
        if i < 3:
            mean, var = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if train else statistics[i]
            scale, shift = next(layers)
            moved.append(tuple(s + RATE * (t - s) for s, t in zip(statistics[i], (mean, var), strict=True)))
            x = (x - mean) * (scale * jax.lax.rsqrt(var + EPS)) + shift
            x = dropout(x, 0.25, jax.random.fold_in(key, i))
    x = x.reshape(len(x), -1)
    for i in range(4):
        w, b = next(layers)
        x = x @ w + b
        x = jax.nn.relu(x) if i < 3 else x
        x = dropout(x, 0.5, jax.random.fold_in(key, 3)) if i == 2 else x
    return x, moved


def inference(torch: Any, model: Any, x: np.ndarray, padding: str) -> Any:
    """() -> logits, compiled."""
    import jax

    parameters, statistics = jax.device_put(weights(torch, model))
    images = jax.device_put(np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
    run = jax.jit(lambda p, s, x: forward(jax, p, s, x, padding, jax.random.key(0), False)[0])
    return lambda: run(parameters, statistics, images).block_until_ready()


def training(torch: Any, model: Any, x: np.ndarray, y: np.ndarray, padding: str) -> Any:
    """() -> loss of one step with Adam, compiled, its state donated."""
    import jax

    jnp, tree = jax.numpy, jax.tree
    parameters, statistics = jax.device_put(weights(torch, model))
    images, targets = jax.device_put((np.ascontiguousarray(x.transpose(0, 2, 3, 1)), y))
    zeros = tree.map(jnp.zeros_like, parameters)
    state = [parameters, statistics, zeros, tree.map(jnp.copy, zeros), jnp.float32(0), jax.random.key(0)]

    def loss(p: Any, s: Any, key: Any) -> Any:
        z, moved = forward(jax, p, s, images, padding, key, True)
        return (jax.nn.softplus(z) - targets * z).mean(), moved

    def update(p: Any, s: Any, m: Any, v: Any, t: Any, key: Any) -> Any:
        (value, s), g = jax.value_and_grad(loss, has_aux=True)(p, s, key)
        t = t + 1
        m = tree.map(lambda m, g: m + 0.1 * (g - m), m, g)
        v = tree.map(lambda v, g: v + 0.001 * (g * g - v), v, g)
        rate, root = 1e-3 / (1 - 0.9**t), 1 / (1 - 0.999**t)
        p = tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v * root) + 1e-8), p, m, v)
        return value, [p, s, m, v, t, jax.random.fold_in(key, 0)]

    run = jax.jit(update, donate_argnums=(0, 1, 2, 3))

    def step() -> float:
        value, state[:] = run(*state)
        return float(value)

    return step
