#!/usr/bin/env python3
"""Fits the decision trees of the classical damage scorer to cues and writes trees.txt.

    for s in $(seq 700 712); do
        cargo run -p inspection --example booth_cues -- --split train --seeds $s..$((s + 1)) --items 400 > cues-$s.csv; done
    for s in $(seq 720 727) $(seq 731 735) $(seq 740 753); do
        cargo run -p inspection --example booth_cues -- --split train --seeds $s..$((s + 1)) --items 400 --products 400 > cues-$s.csv; done
    for s in $(seq 800 811); do
        cargo run -p inspection --example booth_cues -- --split train --seeds $s..$((s + 1)) --items 250 --products 250 --oblique > oblique-$s.csv; done
    cargo run -p inspection --example evaluate -- --cues real.csv
    python3 models/classical/fit_trees.py --real real.csv --splits training/splits.csv --false-alarms 0.06 -o crates/inspection/src/damage/trees.txt cues-*.csv --oblique oblique-*.csv

Needs numpy, pandas and scikit-learn. Booth items: gross damage against intact;
minor damage counts less (`--minor-weight`: a person may well sort it). Real, undamaged goods count as intact. The bias is set on out-of-fold scores, folds by booth seed, so that
0.5 is the score above which the given share of intact items lies.
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.model_selection import GroupKFold

TYPES = ["penetration", "deformation", "actuation", "deconstruction", "spillage", "superficial", "missing_unit"]
FIRST_CUE = 8


def model(trees, depth, seed=0):
    return GradientBoostingClassifier(
        n_estimators=trees, max_depth=depth, learning_rate=0.06, subsample=0.6, max_features=0.4,
        min_samples_leaf=8, random_state=seed)


class Boosted:
    """Many small steps of trees six deep: out of fold, by booth, better than shallower ones with random trees beside them."""

    def __init__(self):
        self.boosted = GradientBoostingClassifier(
            n_estimators=700, max_depth=6, learning_rate=0.02, subsample=0.5, max_features=0.15,
            min_samples_leaf=20, random_state=0)

    def fit(self, x, y, w):
        self.boosted.fit(x, y, w)
        return self

    def decision_function(self, x):
        return self.boosted.decision_function(x)

    def write(self, file, name, bias):
        prior = self.boosted.init_.class_prior_[1]
        print(f"forest {name} {bias + np.log(prior / (1 - prior)):.5g}", file=file)
        for stage in self.boosted.estimators_:
            print(nodes(stage[0].tree_, lambda v: v[0][0] * self.boosted.learning_rate), file=file)


def nodes(tree, leaf=lambda v: v[0][0] * 0.06):
    """One tree as `feature,threshold,left,right` and leaves as `value`, by `;`."""
    out = []
    for i in range(tree.node_count):
        if tree.children_left[i] < 0:
            out.append(f"{leaf(tree.value[i]):.3g}")
        else:
            out.append(f"{tree.feature[i]},{tree.threshold[i]:.5g},{tree.children_left[i]},{tree.children_right[i]}")
    return ";".join(out)


def write(file, name, fitted, bias):
    prior = fitted.init_.class_prior_[1]
    print(f"forest {name} {np.log(prior / (1 - prior)) + bias:.5g}", file=file)
    for stage in fitted.estimators_:
        print(nodes(stage[0].tree_), file=file)


def arguments():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("cues", nargs="+")
    args.add_argument("--real", help="cues of undamaged real goods")
    args.add_argument("--splits", help="training/splits.csv: real goods that it gives to tuning or test are left out")
    # The higher, the fewer alarms on scenes left out, and the less gross damage is found: `scenes left out` and `out of fold` tell.
    args.add_argument("--real-weight", type=float, default=200.0)
    args.add_argument("--minor-weight", type=float, default=0.3, help="of slightly damaged items, which count as damaged")
    args.add_argument("--oblique", nargs="*", default=[], help="cues that cameras beside the tray give (booth_cues --oblique)")
    args.add_argument("--oblique-weight", type=float, default=0.5)
    args.add_argument("--false-alarms", type=float, default=0.08)
    args.add_argument("-o", "--out", required=True)
    return args.parse_args()


class Data:
    """Booth items, then undamaged real goods, which never carry damage."""

    def __init__(self, a):
        booth = pd.concat([pd.read_csv(f).assign(beside=f in a.oblique) for f in [*a.cues, *a.oblique]], ignore_index=True)
        if a.minor_weight == 0:
            booth = booth[booth.label != "minor"].reset_index(drop=True)
        self.booth, self.cues = booth, [c for c in booth.columns[FIRST_CUE:] if c != "beside"]
        # What cameras beside the tray see is learnt from, and told of apart: the threshold is that of the camera above it.
        self.beside = booth.beside.to_numpy(bool)
        self.damaged = (booth.label != "intact").to_numpy()
        self.gross, self.intact = (booth.label == "gross").to_numpy() & ~self.beside, ~self.damaged & ~self.beside
        self.minor = self.damaged & ~self.gross & ~self.beside
        self.several = (booth.found > 1).to_numpy()
        self.x = booth[self.cues].to_numpy(np.float32)
        self.weight = np.where(booth.label == "minor", a.minor_weight, 1.0) * np.where(self.beside, a.oblique_weight, 1.0)
        real = pd.read_csv(a.real) if a.real else pd.DataFrame(columns=["source", "capture", *self.cues])
        if a.splits:
            held = {row.item.split("/")[1] for row in pd.read_csv(a.splits, comment="#").itertuples() if row.part != "train"}
            known = [any(c.startswith(h) and not c[len(h):len(h) + 1].isdigit() for h in held) for c in real.capture.astype(str)]
            print(f"{sum(known)} real items belong to tuning or test, and are left out")
            real = real[~np.array(known, bool)]
        self.source, self.real = real.source.to_numpy(), real[self.cues].to_numpy(np.float32)
        self.capture = real.capture.astype(str).to_numpy()
        self.real_weight = a.real_weight

    def fit(self, model, rows, target, real=None):
        """On some booth items and, unless told otherwise, all real ones."""
        real = self.real if real is None else real
        x = np.vstack([self.x[rows], real])
        y = np.concatenate([target[rows], np.zeros(len(real), bool)])
        return model.fit(x, y, np.concatenate([self.weight[rows], np.full(len(real), self.real_weight)]))


def auroc(bad, good):
    order = np.sort(good)
    return ((np.searchsorted(order, bad, "left") + np.searchsorted(order, bad, "right")) / 2 / len(good)).mean()


def report(d, raw, limit):
    """Out-of-fold scores against the truth."""
    for rate in (0.01, 0.03, 0.05, 0.07, 0.09):
        print(f"{rate:.2f} of intact above: gross above {(raw > np.quantile(raw[d.intact], 1 - rate))[d.gross].mean():.3f}")
    print(f"{d.intact.sum()} intact, {d.gross.sum()} gross, {d.minor.sum()} minor, {len(d.real)} real")
    print(f"out of fold: AUROC gross {auroc(raw[d.gross], raw[d.intact]):.3f}, any {auroc(raw[d.gross | d.minor], raw[d.intact]):.3f}; "
          f"intact sorted {((raw <= limit) & ~d.several)[d.intact].mean():.3f}, "
          f"gross not sorted {((raw > limit) | d.several)[d.gross].mean():.3f} (by score alone {(raw > limit)[d.gross].mean():.3f})")
    gross = d.booth[d.gross].assign(missed=((raw <= limit) & ~d.several)[d.gross])
    if d.beside.any():
        bad, good = raw[d.beside & (d.booth.label == "gross")], raw[d.beside & ~d.damaged]
        print(f"  from beside: {len(good)} intact, alarms {(good > limit).mean():.3f}; {len(bad)} gross, found {(bad > limit).mean():.3f}; "
              f"AUROC {auroc(bad, good):.3f}")
    for t in TYPES:
        own = gross[gross.types.str.contains(t)]
        print(f"  {t}: {len(own)}, missed {own.missed.mean():.2f}")


def report_families(d, raw, limit):
    """The same a family: where alarms and misses come from."""
    for family in sorted(set(d.booth.family)):
        own = (d.booth.family == family).to_numpy()
        good, bad = raw[own & d.intact], raw[own & d.gross]
        print(f"  {family}: {len(good)} intact, alarms {(good > limit).mean():.3f}; {len(bad)} gross, found {(bad > limit).mean():.3f}; "
              f"AUROC {auroc(bad, good):.3f}")


def report_left_out(d, target, limit):
    """Alarms on each source of real goods by trees that never saw that source."""
    every = np.ones(len(d.x), bool)
    for source in sorted(set(d.source)):
        left_out = d.fit(Boosted(), every, target, d.real[d.source != source])
        alarms = left_out.decision_function(d.real[d.source == source]) > limit
        print(f"  {source}, left out: {alarms.sum()} alarms on {len(alarms)} real items")


def report_scenes_left_out(d, target, limit):
    """Alarms on each source by trees that knew the source, but not the scene."""
    every, raw = np.ones(len(d.x), bool), np.zeros(len(d.real))
    for train, test in GroupKFold(5).split(d.real, np.zeros(len(d.real)), d.capture):
        raw[test] = d.fit(Boosted(), every, target, d.real[train]).decision_function(d.real[test])
    for source in sorted(set(d.source)):
        own = raw[d.source == source]
        print(f"  {source}, scenes left out: {(own > limit).sum()} alarms on {len(own)} real items")


def main():
    a = arguments()
    d = Data(a)
    raw = np.zeros(len(d.x))
    for train, test in GroupKFold(5).split(d.x, d.damaged, d.booth.seed):
        rows = np.isin(np.arange(len(d.x)), train)
        raw[test] = d.fit(Boosted(), rows, d.damaged).decision_function(d.x[test])
    limit = np.quantile(raw[d.intact], 1 - a.false_alarms)
    report(d, raw, limit)
    report_families(d, raw, limit)
    if len(d.real):
        report_left_out(d, d.damaged, limit)
        report_scenes_left_out(d, d.damaged, limit)
    everything = np.ones(len(d.x), bool)
    with open(a.out, "w") as file:
        print("# Written by models/classical/fit_trees.py; see models/classical/README.md.", file=file)
        print("cues " + " ".join(d.cues), file=file)
        d.fit(Boosted(), everything, d.damaged).write(file, "damage", -limit)
        for t in TYPES:
            target = d.gross & d.booth.types.fillna("").str.contains(t).to_numpy()
            rows = target | d.intact
            if target.sum() >= 10:
                write(file, t, d.fit(model(30, 2), rows, target), 0.0)


main()
