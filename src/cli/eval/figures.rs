//! From verdicts to figures.

use std::collections::BTreeMap;

use datasets::Sample;
use evaluation::{
    Bin, Interval, Judged, LocalisationScore, Operation, Ranking, RiskPoint, SizeBin, auroc, bootstrap, certainty,
    expected_calibration_error, recall_by_size, reliability, risk_coverage, threshold_at_false_alarms,
};
use serde::Serialize;

use super::judge::Verdict;
use crate::cell::percentile;

/// Rounds of the bootstrap.
const ROUNDS: usize = 1000;

/// Everything that `intact eval` says of a data set.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    #[serde(flatten)]
    pub ranking: Ranking,
    pub n: usize,
    pub n_defect: usize,
    /// Samples whose pictures could not be read; they are in no figure.
    pub unread: usize,
    /// 95 % intervals of the figures above, drawn by item.
    pub ci95: Intervals,
    /// The threshold in force.
    pub operation: Operation,
    /// The lowest thresholds (`--threshold`) above which at most 1 % and 0.1 % of these whole items lie.
    pub threshold_at_1fpr: Option<f64>,
    pub threshold_at_01fpr: Option<f64>,
    /// What scored how many samples; with `builtin` that depends on whether a sample has depth.
    pub scorers: BTreeMap<String, usize>,
    /// Samples in which no item was found. Their score is 0; the cell does not sort them, it images again.
    pub no_item: NoItem,
    /// Ranking by the scorer alone.
    pub damage: Ranking,
    /// Ranking by the comparison alone, where it could be made.
    pub anomaly: Option<Ranking>,
    /// Ranking by damage judged again beside the reference, where it could be, …
    pub rejudged: Option<Ranking>,
    /// … and by the scorer alone of those same samples.
    pub damage_where_rejudged: Option<Ranking>,
    /// Share of the samples that could be compared; `None` without references.
    pub compared: Option<f64>,
    /// By how much of the item could be compared; empty without references.
    pub per_coverage: BTreeMap<String, Group>,
    pub per_type: BTreeMap<String, Group>,
    pub per_material: BTreeMap<String, Group>,
    pub per_family: BTreeMap<String, Group>,
    pub per_lookalike: BTreeMap<String, Group>,
    /// Damaged by each operator, against all whole samples; empty where the data set does not say.
    pub per_operator: BTreeMap<String, Group>,
    /// Recall against the root of the damaged area, pixels.
    pub recall_by_px: Vec<SizeBin>,
    /// … and millimetres, where the scale is known.
    pub recall_by_mm: Vec<SizeBin>,
    pub localisation: Option<LocalisationScore>,
    /// Mean intersection over union of found and true items.
    pub item_iou: Option<f64>,
    pub calibration_error: Option<f64>,
    pub reliability: Vec<Bin>,
    /// Wrong decisions among the surest: what leaving the others to a person gains.
    pub risk_coverage: Vec<RiskPoint>,
    pub ms: Times,
}

#[derive(Debug, Serialize)]
pub(crate) struct Intervals {
    pub auroc: Option<Interval>,
    pub ap_any: Option<Interval>,
    pub ap_major: Option<Interval>,
    pub recall_at_50p: Option<Interval>,
    pub recall_at_1fpr: Option<Interval>,
    pub recall_at_01fpr: Option<Interval>,
}

#[derive(Debug, Serialize)]
pub(crate) struct NoItem {
    pub whole: usize,
    pub damaged: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct Times {
    pub p50: Option<f32>,
    pub p99: Option<f32>,
}

/// One group of samples; for a type of damage its damaged samples against all whole ones.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub n: usize,
    pub n_defect: usize,
    pub auroc: Option<f64>,
    pub false_alarms: usize,
    pub found: usize,
}

impl Group {
    fn of<'a>(judged: impl Iterator<Item = &'a Judged> + Clone, threshold: f64) -> Group {
        let alarms = |damaged: bool| judged.clone().filter(|j| j.damaged == damaged && j.score > threshold).count();
        Group {
            n: judged.clone().count(),
            n_defect: judged.clone().filter(|j| j.damaged).count(),
            auroc: auroc(judged.clone().map(|j| (j.score, j.damaged))),
            false_alarms: alarms(false),
            found: alarms(true),
        }
    }
}

impl Figures {
    pub fn of(samples: &[Sample], verdicts: &[Verdict], localisation: Option<LocalisationScore>, threshold: f32) -> Figures {
        let threshold = f64::from(threshold);
        let mut items: BTreeMap<&str, usize> = BTreeMap::new();
        for sample in samples {
            let next = items.len();
            items.entry(&sample.item).or_insert(next);
        }
        let judged = |score: &dyn Fn(&Verdict) -> Option<f32>| -> Vec<Judged> {
            let pairs = samples.iter().zip(verdicts);
            let judge = |(s, v): (&Sample, &Verdict)| {
                let group = items.get(s.item.as_str()).copied().unwrap_or(0);
                score(v).map(|score| Judged { score: f64::from(score), damaged: s.damaged, major: s.major, group })
            };
            pairs.filter_map(judge).collect()
        };
        let all = judged(&|v| Some(v.score));
        let compared = judged(&|v| v.anomaly);
        let rejudged = judged(&|v| v.rejudged);
        let before = judged(&|v| v.rejudged.map(|_| v.damage));
        let whole: Vec<f64> = all.iter().filter(|j| !j.damaged).map(|j| j.score).collect();
        // That function's threshold is the lowest score that alarms; here what alarms lies above it.
        let limit = |rate: f64| threshold_at_false_alarms(&whole, rate).map(f64::next_down);
        let unseen = |damaged: bool| samples.iter().zip(verdicts).filter(|(s, v)| s.damaged == damaged && !v.found).count();
        let mut scorers: BTreeMap<String, usize> = BTreeMap::new();
        verdicts.iter().for_each(|v| *scorers.entry(v.scorer.clone()).or_default() += 1);
        let [auroc, ap_any, ap_major, recall_at_50p, recall_at_1fpr, recall_at_01fpr] =
            bootstrap(&all, ROUNDS, |r| [r.auroc, r.ap_any, r.ap_major, r.recall_at_50p, r.recall_at_1fpr, r.recall_at_01fpr]);
        let by = |name: &dyn Fn(&Sample) -> &str| groups(samples, &all, threshold, name);
        let bins = reliability(all.iter().map(|j| (j.score, j.damaged)));
        let ious: Vec<f64> = verdicts.iter().filter_map(|v| v.item_iou).map(f64::from).collect();
        let times: Vec<f32> = verdicts.iter().map(|v| v.ms).collect();
        Figures {
            ranking: Ranking::of(&all),
            n: samples.len(),
            n_defect: samples.iter().filter(|s| s.damaged).count(),
            unread: 0,
            ci95: Intervals { auroc, ap_any, ap_major, recall_at_50p, recall_at_1fpr, recall_at_01fpr },
            operation: Operation::at(&all, threshold),
            threshold_at_1fpr: limit(0.01),
            threshold_at_01fpr: limit(0.001),
            scorers,
            no_item: NoItem { whole: unseen(false), damaged: unseen(true) },
            damage: Ranking::of(&judged(&|v| Some(v.damage))),
            anomaly: (!compared.is_empty()).then(|| Ranking::of(&compared)),
            rejudged: (!rejudged.is_empty()).then(|| Ranking::of(&rejudged)),
            damage_where_rejudged: (!before.is_empty()).then(|| Ranking::of(&before)),
            compared: (!compared.is_empty()).then(|| compared.len() as f64 / samples.len() as f64),
            per_coverage: if compared.is_empty() { BTreeMap::new() } else { by_coverage(verdicts, &all, threshold) },
            per_type: types(samples, &all, threshold, &|s| s.types.iter().map(String::as_str).collect()),
            per_material: by(&|s| &s.material),
            per_family: by(&|s| &s.family),
            per_lookalike: by(&|s| &s.lookalike),
            per_operator: types(samples, &all, threshold, &|s| Some(s.operator.as_str()).filter(|o| !o.is_empty()).into_iter().collect()),
            recall_by_px: by_size(samples, &all, threshold, 8.0, &|s| s.size.px),
            recall_by_mm: by_size(samples, &all, threshold, 10.0, &|s| s.size.mm),
            localisation,
            item_iou: (!ious.is_empty()).then(|| ious.iter().sum::<f64>() / ious.len() as f64),
            calibration_error: expected_calibration_error(&bins),
            reliability: bins,
            risk_coverage: risk_coverage(all.iter().zip(verdicts).map(|(j, v)| {
                // Where no item was found nothing is decided: the cell images again.
                let sure = if v.found { certainty(j.score, threshold) } else { 0.0 };
                (sure, (j.score > threshold) != j.damaged)
            })),
            ms: Times { p50: percentile(&times, 0.5), p99: percentile(&times, 0.99) },
        }
    }

    /// Name, value and interval of each figure, for people.
    pub fn rows(&self) -> Vec<(&'static str, String, Option<Interval>)> {
        let number = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.3}"));
        let (r, c, o) = (&self.ranking, &self.ci95, &self.operation);
        let share = |k: usize, n: usize| if n == 0 { "–".to_owned() } else { format!("{:.3}", k as f64 / n as f64) };
        let per_million = |v: f64| if v.is_finite() { format!("{v:.0}") } else { "–".to_owned() };
        let mut rows = vec![
            ("AUROC", number(r.auroc), c.auroc),
            ("average precision, any damage", number(r.ap_any), c.ap_any),
            ("average precision, major damage", number(r.ap_major), c.ap_major),
            ("recall at 50 % precision", number(r.recall_at_50p), c.recall_at_50p),
            ("recall at 1 % false alarms", number(r.recall_at_1fpr), c.recall_at_1fpr),
            ("recall at 0.1 % false alarms", number(r.recall_at_01fpr), c.recall_at_01fpr),
            ("at the threshold: false alarms", share(o.false_alarms, o.whole), (o.whole > 0).then_some(o.false_alarm_rate)),
            ("at the threshold: recall", share(o.found, o.damaged), (o.damaged > 0).then_some(o.recall)),
            ("of a million items, 0.1 % damaged: good ones sidelined", per_million(o.good_sidelined_per_million), None),
            ("  … bad ones shipped", per_million(o.bad_shipped_per_million), None),
            ("threshold for 1 % false alarms here", number(self.threshold_at_1fpr), None),
            ("AUROC of the scorer alone", number(self.damage.auroc), None),
        ];
        if self.no_item.whole + self.no_item.damaged > 0 {
            let of = format!("{} + {}", self.no_item.whole, self.no_item.damaged);
            rows.push(("no item found, whole + damaged (the cell images again)", of, None));
        }
        if let Some(anomaly) = &self.anomaly {
            rows.push(("AUROC of the comparison alone, where made", number(anomaly.auroc), None));
            rows.push(("share that could be compared", number(self.compared), None));
        }
        if let (Some(after), Some(before)) = (&self.rejudged, &self.damage_where_rejudged) {
            rows.push(("AUROC of damage judged again beside the reference, where it could be", number(after.auroc), None));
            rows.push(("  … of the scorer alone, of those", number(before.auroc), None));
        }
        if let Some(l) = &self.localisation {
            rows.push(("pixel AUROC", number(l.pixel_auroc), None));
            rows.push(("AUPRO (30 %)", number(l.aupro), None));
        }
        rows.push(("item mask IoU", number(self.item_iou), None));
        rows.push(("expected calibration error", number(self.calibration_error), None));
        let ms = |v: Option<f32>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.1}"));
        rows.push(("milliseconds an item, p50", ms(self.ms.p50), None));
        rows.push(("milliseconds an item, p99", ms(self.ms.p99), None));
        rows
    }

    /// Who scored how many samples, in words.
    pub fn scored_by(&self) -> String {
        self.scorers.iter().map(|(name, n)| format!("{name}: {n}")).collect::<Vec<_>>().join(", ")
    }

    /// Recall by size with its unit.
    pub fn sizes(&self) -> [(&'static str, &[SizeBin]); 2] {
        [("px", &self.recall_by_px), ("mm", &self.recall_by_mm)]
    }

    /// The groups with their headings.
    pub fn groups(&self) -> [(&'static str, &BTreeMap<String, Group>); 6] {
        [
            ("compared", &self.per_coverage),
            ("type", &self.per_type),
            ("operator", &self.per_operator),
            ("material", &self.per_material),
            ("family", &self.per_family),
            ("look-alike", &self.per_lookalike),
        ]
    }
}

/// Groups by a name; samples without one are left out.
fn groups(samples: &[Sample], all: &[Judged], threshold: f64, name: &dyn Fn(&Sample) -> &str) -> BTreeMap<String, Group> {
    let mut members: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for (sample, judged) in samples.iter().zip(all).filter(|(s, _)| !name(s).is_empty()) {
        members.entry(name(sample)).or_default().push(judged);
    }
    members.into_iter().map(|(name, list)| (name.to_owned(), Group::of(list.iter().copied(), threshold))).collect()
}

/// By how much of the item could be compared.
fn by_coverage(verdicts: &[Verdict], all: &[Judged], threshold: f64) -> BTreeMap<String, Group> {
    let name = |coverage: f32| match coverage {
        c if c <= 0.0 => "not at all",
        c if c < 0.5 => "less than half",
        c if c < 0.8 => "one half to four fifths",
        _ => "more than four fifths",
    };
    let mut members: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for (verdict, judged) in verdicts.iter().zip(all) {
        members.entry(name(verdict.coverage)).or_default().push(judged);
    }
    members.into_iter().map(|(name, list)| (name.to_owned(), Group::of(list.iter().copied(), threshold))).collect()
}

/// Each name's damaged samples against all whole ones.
fn types<'a>(
    samples: &'a [Sample],
    all: &[Judged],
    threshold: f64,
    names_of: &dyn Fn(&'a Sample) -> Vec<&'a str>,
) -> BTreeMap<String, Group> {
    let mut names: Vec<&str> = samples.iter().flat_map(names_of).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name: &str| {
        let has = |s: &'a Sample| !s.damaged || names_of(s).contains(&name);
        let members: Vec<&Judged> = samples.iter().zip(all).filter(|(s, _)| has(s)).map(|(_, j)| j).collect();
        Group::of(members.iter().copied(), threshold)
    };
    names.into_iter().map(|name| (name.to_owned(), of(name))).collect()
}

/// Recall in ranges of size that double.
fn by_size(samples: &[Sample], all: &[Judged], threshold: f64, first: f64, size: &dyn Fn(&Sample) -> Option<f64>) -> Vec<SizeBin> {
    const RANGES: usize = 5;
    let whole: Vec<f64> = all.iter().filter(|j| !j.damaged).map(|j| j.score).collect();
    let sized: Vec<(f64, f64)> =
        samples.iter().zip(all).filter(|(s, _)| s.damaged).filter_map(|(s, j)| size(s).map(|size| (size, j.score))).collect();
    recall_by_size(&sized, first, RANGES, threshold, threshold_at_false_alarms(&whole, 0.01))
}
