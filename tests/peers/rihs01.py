"""Type hashes of our interface definitions, computed by PyPI `rosbags`.

    rihs01.py FOLDER [--package NAME] [--depends FOLDER]

FOLDER holds `<package>/{msg,srv,action}`; with --package it is one package. Prints `type<TAB>hash` for every message,
request, response, goal, result and feedback, sorted. A type that rosbags ships for Jazzy is hashed from rosbags' own definition,
so a wrong field of ours shows; the others are hashed from our text.
"""

import argparse
from pathlib import Path

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

SUFFIXES = {"srv": ["_Request", "_Response"], "action": ["_Goal", "_Result", "_Feedback"]}


def parts(folder: Path, package: str):
    """Yields (type name, text) of every struct that a package's files define."""
    for file in sorted(folder.glob("msg/*.msg")):
        yield f"{package}/msg/{file.stem}", file.read_text()
    for namespace, suffixes in SUFFIXES.items():
        for file in sorted(folder.glob(f"{namespace}/*.{namespace}")):
            lines, sections = file.read_text().splitlines(), [[]]
            for line in lines:
                if line.strip() == "---":
                    sections.append([])
                else:
                    sections[-1].append(line)
            for suffix, section in zip(suffixes, sections, strict=True):
                yield f"{package}/{namespace}/{file.stem}{suffix}", "\n".join(section) + "\n"


def as_ros_maps_it(definition):
    """rosidl turns `char` into uint8 before hashing; rosbags keeps it."""

    def fix(desc):
        kind, rest = desc
        if kind == Nodetype.BASE:
            return (kind, ("uint8", rest[1])) if rest[0] == "char" else desc
        if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            return (kind, (fix(rest[0]), rest[1]))
        return desc

    constants, fields = definition
    return constants, [(name, fix(desc)) for name, desc in fields]


def packages(folder: Path):
    return [(child, child.name) for child in sorted(folder.iterdir()) if child.is_dir()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--package")
    parser.add_argument("--depends", type=Path)
    args = parser.parse_args()
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in list(store.fielddefs):
        store.fielddefs[name] = as_ros_maps_it(store.fielddefs[name])
    wanted = [(args.folder, args.package)] if args.package else packages(args.folder)
    own: dict = {}
    for folder, package in (packages(args.depends) if args.depends else []) + wanted:
        for name, text in parts(folder, package):
            # rosbags knows no `srv` namespace: parsed as a message, kept under its own name.
            as_message = f"{package}/msg/{name.rsplit('/', 1)[1]}"
            own[name] = get_types_from_msg(text, as_message)[as_message]
    store.fielddefs.update({k: as_ros_maps_it(v) for k, v in own.items() if k not in store.fielddefs})
    names = sorted(name for folder, package in wanted for name, _ in parts(folder, package))
    for name in names:
        print(f"{name}\t{store.hash_rihs01(name)}")


if __name__ == "__main__":
    main()
