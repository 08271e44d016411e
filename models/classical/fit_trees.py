#!/usr/bin/env python3
"""Fits the decision trees of the classical damage scorer to cues and writes trees.txt.

    for s in 500..509 520..529 540..548 560..570; do
        cargo run -p inspection --example booth_cues -- --seeds $s --items 60 > cues-$s.csv; done
    cargo run -p inspection --example evaluate -- --cues real.csv
    python3 models/classical/fit_trees.py --real real.csv --false-alarms 0.085 -o crates/inspection/src/damage/trees.txt cues-*.csv

Needs numpy, pandas and scikit-learn. Booth items: gross damage against intact (minor damage is left out: a person may
well sort it). Real, undamaged goods count as intact. The bias is set on out-of-fold scores, folds by booth seed, so that
0.5 is the score above which the given share of intact items lies.
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier
from sklearn.model_selection import GroupKFold

TYPES = ["penetration", "deformation", "actuation", "deconstruction", "spillage", "superficial", "missing_unit"]
FIRST_CUE = 8


def model(trees, depth, seed=0):
    return GradientBoostingClassifier(
        n_estimators=trees, max_depth=depth, learning_rate=0.06, subsample=0.6, max_features=0.4,
        min_samples_leaf=8, random_state=seed)


class Both:
    """Boosted trees and extremely randomised trees, added up: each errs elsewhere, and few items are at hand."""

    SPREAD = 6.0

    def __init__(self):
        self.boosted = GradientBoostingClassifier(
            n_estimators=250, max_depth=4, learning_rate=0.03, subsample=0.5, max_features=0.25,
            min_samples_leaf=8, random_state=0)
        self.random = ExtraTreesClassifier(120, min_samples_leaf=4, max_depth=9, max_features=0.4, random_state=0)

    def fit(self, x, y, w):
        self.boosted.fit(x, y, w)
        self.random.fit(x, y, w)
        return self

    def decision_function(self, x):
        return self.boosted.decision_function(x) + self.SPREAD * (self.random.predict_proba(x)[:, 1] - 0.5)

    def write(self, file, name, bias):
        prior = self.boosted.init_.class_prior_[1]
        bias += np.log(prior / (1 - prior)) - self.SPREAD / 2
        print(f"forest {name} {bias:.5g}", file=file)
        for stage in self.boosted.estimators_:
            print(nodes(stage[0].tree_, lambda v: v[0][0] * self.boosted.learning_rate), file=file)
        share = self.SPREAD / len(self.random.estimators_)
        for tree in self.random.estimators_:
            print(nodes(tree.tree_, lambda v: share * v[0][1] / v[0].sum()), file=file)


def nodes(tree, leaf=lambda v: v[0][0] * 0.06):
    """One tree as `feature,threshold,left,right` and leaves as `value`, by `;`."""
    out = []
    for i in range(tree.node_count):
        if tree.children_left[i] < 0:
            out.append(f"{leaf(tree.value[i]):.4g}")
        else:
            out.append(f"{tree.feature[i]},{tree.threshold[i]:.6g},{tree.children_left[i]},{tree.children_right[i]}")
    return ";".join(out)


def write(file, name, fitted, bias):
    prior = fitted.init_.class_prior_[1]
    print(f"forest {name} {np.log(prior / (1 - prior)) + bias:.5g}", file=file)
    for stage in fitted.estimators_:
        print(nodes(stage[0].tree_), file=file)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("cues", nargs="+")
    args.add_argument("--real", help="cues of undamaged real goods")
    args.add_argument("--real-weight", type=float, default=3.0)
    args.add_argument("--false-alarms", type=float, default=0.08)
    args.add_argument("-o", "--out", required=True)
    a = args.parse_args()
    booth = pd.concat([pd.read_csv(f) for f in a.cues], ignore_index=True)
    cues = list(booth.columns[FIRST_CUE:])
    booth = booth[booth.label != "minor"]
    x, y = booth[cues].to_numpy(np.float32), (booth.label == "gross").to_numpy()
    real = pd.read_csv(a.real)[cues].to_numpy(np.float32) if a.real else np.empty((0, len(cues)), np.float32)

    def fit(m, rows, target):
        xs = np.vstack([x[rows], real])
        ys = np.concatenate([target[rows], np.zeros(len(real), bool)])
        return m.fit(xs, ys, np.concatenate([np.ones(rows.sum()), np.full(len(real), a.real_weight)]))

    raw = np.zeros(len(x))
    for train, test in GroupKFold(5).split(x, y, booth.seed):
        rows = np.isin(np.arange(len(x)), train)
        raw[test] = fit(Both(), rows, y).decision_function(x[test])
    limit = np.quantile(raw[~y], 1 - a.false_alarms)
    for rate in (0.03, 0.05, 0.07, 0.09):
        print(f"{rate:.2f} of intact above: gross above {(raw > np.quantile(raw[~y], 1 - rate))[y].mean():.3f}")
    several = (booth.found > 1).to_numpy()
    print(f"{(~y).sum()} intact, {y.sum()} gross, {len(real)} real")
    print(f"out of fold: intact sorted {((raw <= limit) & ~several)[~y].mean():.3f}, "
          f"gross not sorted {((raw > limit) | several)[y].mean():.3f} (by score alone {(raw > limit)[y].mean():.3f})")
    gross = booth[y].assign(missed=((raw <= limit) & ~several)[y])
    for t in TYPES:
        own = gross[gross.types.str.contains(t)]
        print(f"  {t}: {len(own)}, missed {own.missed.mean():.2f}")
    everything = np.ones(len(x), bool)
    with open(a.out, "w") as file:
        print("# Written by models/classical/fit_trees.py; see models/classical/README.md.", file=file)
        print("cues " + " ".join(cues), file=file)
        fit(Both(), everything, y).write(file, "damage", -limit)
        for t in TYPES:
            target = y & booth.types.fillna("").str.contains(t).to_numpy()
            rows = target | ~y
            if target.sum() >= 10:
                write(file, t, fit(model(30, 2), rows, target), 0.0)


main()
