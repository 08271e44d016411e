//! Verdicts in words.

use crate::values::Verdict;

fn score(value: f32) -> String {
    if value.is_finite() { format!("{value:.3}") } else { "none".to_owned() }
}

/// One line of the log.
pub(crate) fn line(verdict: &Verdict) -> String {
    format!(
        "{} {} → {}  [{}]  damage {}{}  anomaly {}  {:.0} ms",
        verdict.disposition,
        verdict.item_id,
        verdict.lane,
        verdict.reasons.join(", "),
        score(verdict.damage_score),
        verdict.damage_rejudged.map_or_else(String::new, |again| format!(" (beside its reference {})", score(again))),
        score(verdict.anomaly_score),
        verdict.latency_ms
    )
}

/// The card of the last item.
pub(crate) fn card(verdict: &Verdict) -> String {
    let product = if verdict.product.is_empty() { "unknown" } else { &verdict.product };
    let reasons: String = verdict.reasons.iter().map(|reason| format!("- {reason}\n")).collect();
    format!(
        "# {disposition}\n\n**Item** {item}\n\n**To** {lane}\n\n## Why\n\n{reasons}\n\
         | | score | threshold |\n|---|---|---|\n| Damage | {damage} | {damage_threshold} |\n{again}| Anomaly | {anomaly} | {anomaly_threshold} |\n\n\
         **Product** {product}\n\n**Model** {model}\n\n**Frame to decision** {latency:.0} ms\n",
        disposition = verdict.disposition,
        item = verdict.item_id,
        lane = verdict.lane,
        damage = score(verdict.damage_score),
        damage_threshold = score(verdict.damage_threshold),
        again = verdict.damage_rejudged.map_or_else(String::new, |again| format!(
            "| … beside its reference | {} | {} |\n",
            score(again),
            score(verdict.damage_threshold)
        )),
        anomaly = score(verdict.anomaly_score),
        anomaly_threshold = score(verdict.anomaly_threshold),
        model = verdict.model,
        latency = verdict.latency_ms,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_said_to_be_none() {
        let verdict = Verdict {
            item_id: "a7".into(),
            disposition: "SIDELINE".into(),
            lane: "sideline".into(),
            reasons: vec!["DAMAGE".into(), "NO_REFERENCE".into()],
            damage_score: 0.8125,
            damage_threshold: 0.5,
            anomaly_score: f32::NAN,
            ..Verdict::default()
        };
        assert_eq!(line(&verdict), "SIDELINE a7 → sideline  [DAMAGE, NO_REFERENCE]  damage 0.812  anomaly none  0 ms");
        let card = card(&verdict);
        assert!(card.starts_with("# SIDELINE\n\n**Item** a7\n"), "{card}");
        assert!(card.contains("- DAMAGE\n- NO_REFERENCE\n") && card.contains("| Damage | 0.812 | 0.500 |"), "{card}");
        assert!(card.contains("**Product** unknown"), "{card}");
    }

    #[test]
    fn what_decides_is_said_beside_what_perception_saw() {
        let verdict = Verdict { damage_score: 0.6, damage_rejudged: Some(0.125), damage_threshold: 0.5, ..Verdict::default() };
        assert!(line(&verdict).contains("damage 0.600 (beside its reference 0.125)"), "{}", line(&verdict));
        assert!(card(&verdict).contains("| … beside its reference | 0.125 | 0.500 |\n| Anomaly |"), "{}", card(&verdict));
        assert_eq!(verdict.deciding_damage(), 0.125);
    }
}
