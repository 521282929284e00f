"""Files damaged in many ways: what a disk, a transfer, an editor or a hurried colleague does to them."""

import json
import re
from collections.abc import Callable

import numpy as np

Mutation = Callable[[bytes, np.random.Generator], bytes]


def _place(data: bytes, rng: np.random.Generator) -> int:
    return int(rng.integers(len(data)))


def flip_bit(data: bytes, rng: np.random.Generator) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]


def other_byte(data: bytes, rng: np.random.Generator) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :]


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: _place(data, rng)]


def cut_out(data: bytes, rng: np.random.Generator) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + int(rng.integers(1, 64)) :]


def twice(data: bytes, rng: np.random.Generator) -> bytes:
    at, n = _place(data, rng), int(rng.integers(1, 64))
    return data[: at + n] + data[at:]


def zeros(data: bytes, rng: np.random.Generator) -> bytes:
    at, n = _place(data, rng), int(rng.integers(1, 512))
    return data[:at] + bytes(len(data[at : at + n])) + data[at + n :]


def change_digit(data: bytes, rng: np.random.Generator) -> bytes:
    digits = [m.start() for m in re.finditer(rb"[0-9]", data)]
    if not digits:
        return data
    at = digits[int(rng.integers(len(digits)))]
    return data[:at] + str(int(rng.integers(10))).encode() + data[at + 1 :]


def change_number(data: bytes, rng: np.random.Generator) -> bytes:
    numbers = list(re.finditer(rb"-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?", data))
    if not numbers:
        return data
    found = numbers[int(rng.integers(len(numbers)))]
    value = (b"NaN", b"Infinity", b"-Infinity", b"null", b"1e999", b"-0.0", b"true", b'"1"', b"9" * 5000, b"[]")
    return data[: found.start()] + value[int(rng.integers(len(value)))] + data[found.end() :]


def nest(data: bytes, rng: np.random.Generator) -> bytes:
    at = max(data.find(b": "), 0) + 2
    depth = int(rng.choice([50, 3000, 100_000]))
    return data[:at] + b"[" * depth + b"0" + b"]" * depth + b"," + data[at:]


def repeat_key(data: bytes, rng: np.random.Generator) -> bytes:
    keys = list(re.finditer(rb'"[^"\\]*": ?-?[0-9.e+-]+', data))
    if not keys:
        return data
    found = keys[int(rng.integers(len(keys)))]
    name = found[0].split(b":")[0]
    first = bool(rng.integers(2))
    added = name + b": 12345"
    return (
        data[: found.start()] + (added + b", " + found[0] if first else found[0] + b", " + added) + data[found.end() :]
    )


def change_json(data: bytes, rng: np.random.Generator) -> bytes:
    """A key taken out, renamed or given another value, somewhere in the tree; the rest as a JSON library writes it."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):  # `nest` may have been there before
        return flip_bit(data, rng)
    holders = [content]
    for holder in holders:
        holders += [v for v in (holder.values() if isinstance(holder, dict) else holder) if isinstance(v, dict | list)]
    holders = [h for h in holders if h]
    if not holders:
        return data
    holder = holders[int(rng.integers(len(holders)))]
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key = keys[int(rng.integers(len(keys)))]
    value, kind = holder.pop(key), int(rng.integers(3))
    if kind == 1 and isinstance(holder, dict):
        holder[f"{key}_"] = value
    elif kind == 2:
        changed = ([], {}, None, "x", 1.5, True, [[value]])[int(rng.integers(7))]
        if isinstance(holder, dict):
            holder[key] = changed
        else:
            holder.insert(key, changed)
    try:
        return json.dumps(content).encode()
    except RecursionError:
        return flip_bit(data, rng)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bit,
    other_byte,
    truncate,
    cut_out,
    twice,
    zeros,
    change_digit,
    change_number,
    nest,
    repeat_key,
    change_json,
)


def mutant(data: bytes, seed: int) -> tuple[str, bytes]:
    """One damaged version of a file, and what was done to it; sometimes two things."""
    rng = np.random.default_rng(seed)
    names = []
    for _ in range(1 + int(rng.random() < 0.2)):
        if data:
            change = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
            data = change(data, rng)
            names.append(change.__name__)
    return " and ".join(names), data
