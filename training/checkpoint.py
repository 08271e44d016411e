"""Where an interrupted training stands: written whole or not at all, and gone on with only by a run that asks for the same.

Otherwise the first half of the weights would come of one rate, length or table of pictures and the second of another, and nobody would know.
"""

import argparse
import hashlib
import os
from pathlib import Path

import torch

# These change how fast it learns or how often it tells, not what it learns.
FREE = ("workers", "threads", "every")


def asked(args: argparse.Namespace, tables: list[Path]) -> dict:
    """What decides the weights: the arguments, what the tables of the data hold, and the weights to start from, wherever they lie.

    The tables stand for the data: the pictures themselves are gigabytes and not read, so the same rows over other pixels go unnoticed."""
    plain = {name: value for name, value in vars(args).items() if name not in FREE and not isinstance(value, Path)}
    data = hashlib.sha256()
    for table in tables:
        data.update(f"{table.parent.name}/{table.name}\n".encode() + table.read_bytes())
    start = args.start and hashlib.sha256(args.start.read_bytes()).hexdigest()
    return {**plain, "data": data.hexdigest(), "start": start}


def save(what: dict, path: Path) -> None:
    """Beside it first: a run that is killed while it writes leaves what was there before."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    torch.save(what, unfinished)
    os.replace(unfinished, path)


def resume(path: Path, asked: dict, device: str = "cpu") -> dict | None:
    """What was kept, if anything was; ends with a sentence when another run kept it."""
    if not path.exists():
        return None
    saved = torch.load(path, map_location=device)
    if "asked" not in saved:
        raise SystemExit(f"{path} does not say what it was made with: delete it to begin anew")
    other = sorted(name for name in asked.keys() | saved["asked"].keys() if asked.get(name) != saved["asked"].get(name))
    if other:
        raise SystemExit(f"{path} was made with other arguments ({', '.join(other)}): give the same to go on, or delete it to begin anew")
    return saved
