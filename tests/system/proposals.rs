//! `intact gallery proposals`: what a cell learned waits for a person, and every version can be taken back.

use serde_json::Value;

use crate::gallery::{Desk, print};
use crate::support::{intact_ok, json_lines};

/// What a cell would have put into the store: proposals of the product's own design, and a suspected new one.
fn learn_something(desk: &Desk) {
    use references::{Act, NewReference, Origin, State, Store};
    let mut store = Store::open(&desk.url().parse().unwrap()).unwrap();
    for (n, (seed, version)) in [(11, 1), (12, 1), (13, 2), (14, 2)].into_iter().enumerate() {
        let picture = print(seed, 120, 90);
        let color = vision::ColorImage::new(120, 90, picture.into_raw()).unwrap();
        let new = NewReference {
            product: "tea".into(),
            name: Some(format!("learned-{n}")),
            cutout: matching::Cutout::whole(color),
            camera: String::new(),
            light: String::new(),
            provenance: format!("item {n}"),
            version,
            state: State::Quarantined,
            origin: Origin::Learned,
            added_by: "gallery node".into(),
            added_ns: n as i64,
        };
        store.enrol(&new, &matching::FeatureOptions::default()).unwrap();
    }
    store.agree("tea", "learned-0", "another", 9).unwrap();
    let act = Act { actor: "gallery node", action: "design", at_ns: 9, detail: "6 of the last 9 compared items show the same change" };
    store.open_design(("tea", 2), &[], &matching::FeatureOptions::default(), act).unwrap();
}

#[test]
fn what_a_person_put_into_quarantine_waits_in_the_list_too() {
    Desk::each("what_a_person_put_into_quarantine_waits_in_the_list_too", |desk| {
        let picture = desk.save("side.png", &print(21, 180, 140));
        let enrolled = desk.run(&["enrol", "--product", "tea", "--quarantine", &picture]);
        let name = enrolled[0]["reference"].as_str().unwrap();
        let listed = desk.run(&["proposals", "list"]);
        assert_eq!(
            (listed.len(), listed[0]["name"].as_str(), listed[0]["state"].as_str()),
            (1, Some(name), Some("quarantined")),
            "{listed:?}"
        );
        desk.run(&["proposals", "confirm", "--product", "tea", "--reference", name]);
        assert!(desk.run(&["proposals", "list"]).is_empty());
        let tea = desk.run(&["list"]).into_iter().find(|p| p["product"] == "tea").unwrap();
        assert_eq!(tea["active"], 2, "{tea}");
    });
}

#[test]
fn proposals_are_listed_confirmed_rejected_and_rolled_back() {
    Desk::each("proposals_are_listed_confirmed_rejected_and_rolled_back", |desk| {
        learn_something(desk);
        let listed = desk.run(&["proposals", "list"]);
        assert_eq!(listed.len(), 5, "{listed:?}");
        assert_eq!((&listed[0]["name"], &listed[0]["agreeing"][0]), (&Value::from("learned-0"), &Value::from("another")));
        assert_eq!((&listed[4]["design_change"], &listed[4]["product"]), (&Value::from(2), &Value::from("tea")));

        let active = || desk.run(&["list"]).iter().find(|p| p["product"] == "tea").unwrap()["active"].as_u64().unwrap();
        assert_eq!(active(), 1);
        let done = desk.run(&["proposals", "confirm", "--product", "tea", "--reference", "learned-0"]);
        assert_eq!((&done[0]["state"], active()), (&Value::from("active"), 2));
        desk.run(&["proposals", "reject", "--product", "tea", "--reference", "learned-1", "--why", "crushed corner"]);
        let rejected = desk.run(&["proposals", "list", "--state", "rejected", "--product", "tea"]);
        assert_eq!(rejected[0]["reason"], "crushed corner", "{rejected:?}");
        let (code, _, said) = desk.fails(&["proposals", "confirm", "--product", "tea", "--reference", "learned-1"]);
        assert!(code == Some(2) && said.contains("does not wait in quarantine"), "{said}");

        let done = desk.run(&["proposals", "confirm", "--product", "tea", "--design", "2"]);
        assert_eq!((done[0]["references"].as_array().unwrap().len(), active()), (2, 4));
        assert!(desk.run(&["proposals", "list"]).is_empty(), "the change is settled");
        let (code, _, said) = desk.fails(&["proposals", "reject", "--product", "tea", "--design", "2"]);
        assert!(code == Some(2) && said.contains("nothing of design 2"), "{said}");
        desk.run(&["rollback", "--product", "tea"]);
        assert_eq!(active(), 2);
        let refused = desk.run(&["proposals", "list", "--state", "rejected", "--product", "tea"]);
        assert_eq!(
            refused.iter().filter(|p| p["version"] == 2).count(),
            2,
            "what a person takes back does not wait to come again: {refused:?}"
        );

        let history = desk.run(&["history", "--product", "tea"]);
        let actions: Vec<&str> = history.iter().map(|e| e["action"].as_str().unwrap()).collect();
        for action in ["enrol", "propose", "confirm", "reject", "rollback", "design"] {
            assert!(actions.contains(&action), "{action} in {actions:?}");
        }
        assert_eq!(desk.run(&["check"])[0]["ok"], true);
    });
}

/// The whole cell with its own scorer: what that gives whole items decides whether any of them may ever propose itself.
#[test]
fn a_cell_that_watches_finds_whole_items_to_learn_from() {
    let desk = Desk::new();
    let (bag, references, truth, url) = (desk.path("scene"), desk.path("references"), desk.path("truth.json"), desk.url());
    intact_ok(&["booth", "bag", "--seed", "41", "--items", "80", "--out", &bag, "--references", &references, "--truth", &truth]);
    intact_ok(&["gallery", "import", &references, "--gallery", &url]);
    intact_ok(&["run", "--bag", &bag, "--references", &url, "--lockstep", "--json", "--ros-args", "-p", "gallery:learning:=watch"]);
    let listed = json_lines(&intact_ok(&["gallery", "proposals", "list", "--gallery", &url, "--json"]));
    let truth: Value = serde_json::from_slice(&std::fs::read(&truth).unwrap()).unwrap();
    let items = truth["items"].as_array().unwrap();
    let proposed: Vec<&Value> = listed
        .iter()
        .filter_map(|line| line["name"].as_str()?.strip_prefix("learned-"))
        .map(|id| items.iter().find(|i| i["item_id"] == id).expect("an item of the bag"))
        .collect();
    assert!(proposed.len() >= 2, "of 80 items, most of them whole, some propose themselves: {listed:?}");
    assert!(proposed.iter().all(|item| item["gross"] != true), "no grossly damaged one does: {proposed:?}");
}
