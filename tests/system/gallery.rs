//! `intact gallery`: what it keeps, what it says of pictures, and how it fails.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use image::{Rgb, RgbImage};
use serde_json::Value;

#[path = "../../crates/references/tests/support/mod.rs"]
mod galleries;

use crate::support::{intact, intact_ok, json_lines, program, real_data};

/// Print of its own for each seed: blocks of six colours.
pub fn print(seed: u32, width: u32, height: u32) -> RgbImage {
    let colors = [[230, 40, 40], [40, 60, 200], [240, 220, 60], [20, 20, 20], [250, 250, 250], [40, 160, 80]];
    RgbImage::from_fn(width, height, |x, y| {
        // Mixed well: prints of two seeds must not be shifted copies of each other.
        let mut cell = (x / 9) | (y / 7) << 8 | seed << 16;
        for _ in 0..3 {
            cell = (cell ^ (cell >> 15)).wrapping_mul(0x2c1b_3c6d).rotate_left(11);
        }
        Rgb(colors[(cell >> 8) as usize % colors.len()])
    })
}

/// The item on a table, taken from somewhat farther away.
fn on_a_table(item: &RgbImage) -> RgbImage {
    let mut table = RgbImage::from_fn(640, 480, |x, y| Rgb([150 + (x / 40) as u8, 130 + (y / 60) as u8, 105]));
    let (w, h) = (item.width() * 4 / 5, item.height() * 4 / 5);
    let small = image::imageops::resize(item, w, h, image::imageops::FilterType::Triangle);
    image::imageops::replace(&mut table, &small, 300, 180);
    table
}

pub struct Desk {
    dir: tempfile::TempDir,
    url: String,
}

impl Desk {
    /// Two products in folders, imported.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("g.sqlite").display());
        Self::at(dir, url)
    }

    fn at(dir: tempfile::TempDir, url: String) -> Self {
        let desk = Self { dir, url };
        for (product, seed) in [("tea", 1), ("coffee", 2)] {
            std::fs::create_dir_all(desk.dir.path().join("products").join(product)).unwrap();
            print(seed, 180, 140).save(desk.dir.path().join(format!("products/{product}/front.png"))).unwrap();
        }
        let lines = desk.run(&["import", &desk.path("products")]);
        assert!(lines.iter().all(|l| l["state"] == "active") && lines.len() == 2, "{lines:?}");
        desk
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The same on a server, where PyPI's pgserver is installed.
    fn on_a_server(test: &str) -> Option<Self> {
        let server = galleries::server(test)?;
        Some(Self::at(tempfile::tempdir().unwrap(), server.database()))
    }

    /// The same test on every database that is here.
    pub fn each(test: &str, run: impl Fn(&Self)) {
        run(&Self::new());
        Self::on_a_server(test).iter().for_each(run);
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn save(&self, name: &str, picture: &RgbImage) -> String {
        picture.save(self.dir.path().join(name)).unwrap();
        self.path(name)
    }

    pub fn run(&self, args: &[&str]) -> Vec<Value> {
        let url = self.url();
        let all = [&["gallery"], args, &["--gallery", &url, "--json"]].concat();
        json_lines(&intact_ok(&all))
    }

    /// Exit code, JSON lines, and what was said of the failure.
    pub fn fails(&self, args: &[&str]) -> (Option<i32>, Vec<Value>, String) {
        let url = self.url();
        let output = intact(&[&["gallery"], args, &["--gallery", &url, "--json"]].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), json_lines(&text(&output.stdout)), text(&output.stderr))
    }
}

#[test]
fn identifies_and_verifies_before_an_unknown_background() {
    Desk::each("identifies_and_verifies_before_an_unknown_background", |desk| {
        let whole = desk.save("whole.png", &on_a_table(&print(1, 180, 140)));
        let stranger = desk.save("stranger.png", &on_a_table(&print(7, 180, 140)));
        let turned = desk.save("turned.png", &image::imageops::rotate180(&on_a_table(&print(1, 180, 140))));
        let found = desk.run(&["identify", &whole, &stranger, &turned]);
        let best = |line: &Value| line["ranking"][0]["product"].as_str().unwrap().to_owned();
        assert_eq!((best(&found[0]).as_str(), found[0]["decision"].as_str()), ("tea", Some("match")), "{}", found[0]);
        assert_eq!(found[1]["decision"], "unknown", "{}", found[1]);
        assert_eq!((best(&found[2]).as_str(), found[2]["decision"].as_str()), ("tea", Some("match")), "{}", found[2]);
        assert!(found.iter().all(|l| l["ranking"].as_array().unwrap().len() == 2 && l["ms"].as_f64().unwrap() > 0.0));
        let asked = desk.run(&["identify", &whole, "--candidates", "coffee"]);
        assert_eq!((asked[0]["decision"].as_str(), asked[0]["ranking"].as_array().unwrap().len()), (Some("unknown"), 1));

        let mut hurt = on_a_table(&print(1, 180, 140));
        for (x, y) in (0..40 * 40).map(|i| (350 + i % 40, 215 + i / 40)) {
            hurt.put_pixel(x, y, Rgb([90, 70, 20]));
        }
        let hurt = desk.save("hurt.png", &hurt);
        let seen = desk.run(&["verify", "--product", "tea", &whole, &hurt]);
        let score = |line: &Value| line["anomaly_score"].as_f64().unwrap();
        assert!(score(&seen[0]) < 0.4 && score(&seen[1]) > 0.5, "{seen:#?}");
        let bbox: Vec<f64> = seen[1]["findings"][0]["bbox"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let middle = (bbox[0] + bbox[2] / 2.0, bbox[1] + bbox[3] / 2.0);
        assert!((middle.0 - 370.0).abs() < 25.0 && (middle.1 - 235.0).abs() < 25.0, "the finding lies where the stain is: {bbox:?}");
        assert!(seen[1]["coverage"].as_f64().unwrap() > 0.5 && seen[1]["units"]["seen"].is_null());
    });
}

#[test]
fn keeps_retires_rolls_back_exports_and_checks() {
    Desk::each("keeps_retires_rolls_back_exports_and_checks", |desk| {
        let side = desk.save("side.png", &print(3, 180, 140));
        let measured = ["enrol", "--product", "tea", &side, "--size-mm", "55x203x101", "--light", "north window"];
        assert_eq!(desk.run(&measured)[0]["reference"], "side");
        let (code, _, said) = desk.fails(&["enrol", "--product", "tea", &side, "--size-mm", "large"]);
        assert!(code == Some(2) && said.contains("203x101x55"), "{said}");
        assert_eq!(desk.run(&["enrol", "--product", "tea", &side])[0]["state"], "known", "enrolling twice is no second reference");
        let active = || desk.run(&["list"]).iter().find(|p| p["product"] == "tea").unwrap()["active"].as_u64().unwrap();
        assert_eq!(active(), 2);
        assert_eq!(desk.run(&["retire", "--product", "tea", "--reference", "front"])[0]["retired"][0], "front");
        assert_eq!(active(), 1);
        desk.run(&["rollback", "--product", "tea"]);
        assert_eq!(active(), 2);
        let changed = &desk.run(&["rollback", "--product", "tea", "--design", "1"])[0]["rolled_back"];
        assert_eq!(changed.as_array().map(Vec::len), Some(0), "that design is in use");
        let (code, _, said) = desk.fails(&["rollback", "--product", "tea", "--design", "7"]);
        assert!(code == Some(2) && said.contains("design 7 of tea"), "{said}");
        let shown = &desk.run(&["show", "tea"])[0];
        assert_eq!((shown["references"].as_array().unwrap().len(), shown["history"].as_array().unwrap().len()), (2, 4), "{shown}");
        let known = shown["references"].as_array().unwrap().iter().find(|r| r["name"] == "side").unwrap();
        assert_eq!((&known["size_mm"], &known["light"]), (&"203.0x101.0x55.0".into(), &"north window".into()));
        assert_eq!(desk.run(&["export", &desk.path("out")])[0]["written"], 3);
        let list = std::fs::read_to_string(desk.path("out/references.jsonl")).unwrap();
        assert!(list.lines().any(|l| l.contains("203.0x101.0x55.0") && l.contains("north window")), "{list}");
        assert!(Path::new(&desk.path("out/tea/side.png")).is_file());
        let (code, _, said) = desk.fails(&["export", &desk.path("out")]);
        assert!(code == Some(2) && said.contains("not empty"), "what is retired since would be imported again: {said}");
        assert_eq!(desk.run(&["check"])[0]["ok"], true);
    });
}

/// A gallery that lies on a read-only medium is read, by the commands and by the cell; what would change it is refused.
#[test]
fn a_read_only_medium_is_read_and_not_written() {
    let desk = Desk::new();
    let item = desk.save("item.png", &on_a_table(&print(1, 180, 140)));
    let gallery = desk.url();
    let fixed = r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" || exit 77; exec "$@""#;
    let on_medium = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-m", "bash", "-c", fixed]).arg(desk.dir.path()).arg(program("intact")).args(args);
        let output = command.env("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF").output().ok()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let usable = output.status.code() != Some(77) && !said.contains("unshare:");
        usable.then(|| (output.status.code(), json_lines(&String::from_utf8_lossy(&output.stdout)), said))
    };
    let Some((code, listed, said)) = on_medium(&["gallery", "list", "--gallery", &gallery, "--json"]) else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: read-only medium: no private mount namespace here (it needs root)");
        return;
    };
    assert_eq!((code, listed.len()), (Some(0), 2), "{said}");
    let (_, found, said) = on_medium(&["gallery", "identify", &item, "--gallery", &gallery, "--json"]).unwrap();
    assert_eq!((&found[0]["decision"], &found[0]["ranking"][0]["product"]), (&"match".into(), &"tea".into()), "{said}");
    let cell = ["run", "--source", "booth", "--items", "2", "--lockstep", "--json", "--references", &gallery];
    let (code, decided, said) = on_medium(&cell).unwrap();
    assert_eq!((code, decided.len()), (Some(0), 2), "the cell needs to write nothing there: {said}");
    let learning = [&cell[..], &["--ros-args", "-p", "gallery:learning:=watch"]].concat();
    let (code, _, said) = on_medium(&learning).unwrap();
    assert!(code == Some(2) && said.contains("`learning`") && said.contains("read-only"), "{code:?} {said}");
    for change in [vec!["enrol", "--product", "tea", &item], vec!["retire", "--product", "tea"]] {
        let (code, _, said) = on_medium(&[&["gallery"], change.as_slice(), &["--gallery", &gallery]].concat()).unwrap();
        assert!(code == Some(2) && said.contains("read-only") && said.lines().count() == 1, "{change:?}: {code:?} {said}");
    }
    assert_eq!(desk.run(&["list"]), listed, "nothing was changed");
}

/// A person enrols what passed by: items of the product (barcode) that perception finds one of and whole.
#[test]
fn enrols_the_items_of_a_bag() {
    let desk = Desk::new();
    let (bag, truth) = (desk.path("scene"), desk.path("truth.json"));
    intact_ok(&["booth", "bag", "--seed", "31", "--items", "12", "--damaged", "0.5", "--out", &bag, "--truth", &truth]);
    let truth: Value = serde_json::from_slice(&std::fs::read(&truth).unwrap()).unwrap();
    let items = truth["items"].as_array().unwrap();
    let mut enrolled = Vec::new();
    let mut products: Vec<&str> = items.iter().map(|i| i["product"].as_str().unwrap()).collect();
    products.sort_unstable();
    products.dedup();
    for product in products {
        let url = desk.url();
        let output = intact(&["gallery", "enrol", "--product", product, &bag, "--gallery", &url, "--json"]);
        for line in json_lines(&String::from_utf8_lossy(&output.stdout)) {
            assert!(line["picture"].as_str().unwrap().starts_with(&bag), "{line}");
            if let Some(name) = line["reference"].as_str() {
                let item = items.iter().find(|i| i["item_id"] == name).expect("an item of the bag");
                // A label that cannot be read is no other product's: a person says what it is.
                enrolled.push((name.to_owned(), item["product"] == product, item["gross"] == true));
            } else {
                let why = line["error"].as_str().unwrap();
                assert!(why.contains("perception sees damage") || why.contains("items are in view"), "{line}");
            }
        }
    }
    let sizes = intact(&["gallery", "show", items[0]["product"].as_str().unwrap(), "--gallery", &desk.url(), "--json"]);
    for reference in json_lines(&String::from_utf8_lossy(&sizes.stdout)).iter().flat_map(|l| l["references"].as_array().cloned().unwrap()) {
        let size = reference["size_mm"].as_str().expect("depth measured it");
        let sides: Vec<f32> = size.split('x').map(|s| s.parse().unwrap()).collect();
        assert!(sides.len() == 3 && (20.0..600.0).contains(&sides[0]), "{reference}");
    }
    let right = enrolled.iter().filter(|(_, own, _)| *own).count();
    assert!(right >= 4, "the whole items are enrolled: {enrolled:?}");
    let hurt = enrolled.iter().filter(|(_, own, gross)| *own && *gross).count();
    assert!(hurt <= 1, "what perception finds damaged is no reference: {enrolled:?}");
    heights_survive_export_and_import(&desk);
    let (code, _, said) = desk.fails(&["enrol", "--product", "tea", &bag]);
    assert!(code == Some(2) && said.contains("`tea`") && said.contains("--barcode"), "{code:?} {said}");
    let first = items[0]["product"].as_str().unwrap();
    let named = intact(&["gallery", "enrol", "--product", "tea", "--barcode", first, &bag, "--gallery", &desk.url(), "--json"]);
    let lines = json_lines(&String::from_utf8_lossy(&named.stdout));
    assert!(!lines.is_empty() && lines.iter().all(|l| l["product"] == "tea"), "{named:?}");
    let again = desk.fails(&["enrol", "--product", "tea", &desk.path("nothing.mcap")]);
    assert!(again.0 == Some(2) && again.2.contains("nothing.mcap"), "{again:?}");
}

fn heights_survive_export_and_import(desk: &Desk) {
    let exported = |folder: &str, url: &str| -> Vec<(String, Vec<u8>)> {
        intact_ok(&["gallery", "export", folder, "--gallery", url]);
        let list = json_lines(&std::fs::read_to_string(Path::new(folder).join("references.jsonl")).unwrap());
        let bytes = |l: &Value| Some((l["file"].to_string(), std::fs::read(Path::new(folder).join(l["heights"].as_str()?)).unwrap()));
        list.iter().filter_map(bytes).collect()
    };
    let (folder, other) = (desk.path("with-heights"), format!("sqlite:{}", desk.path("other.sqlite")));
    let first = exported(&folder, &desk.url());
    intact_ok(&["gallery", "import", &folder, "--gallery", &other]);
    assert!(first.len() >= 4 && exported(&desk.path("again"), &other) == first, "{} with heights", first.len());
    let map = image::load_from_memory(&first[0].1).unwrap().into_luma16();
    let highest = map.pixels().map(|p| p.0[0]).max().unwrap();
    assert!((5..400).contains(&highest), "an item's height in millimetres: {highest}");
}

/// `intact booth generate` writes Kaputt's tables: its references come with their masks, an item's under its identifier.
#[test]
fn imports_and_enrols_from_kaputts_tables() {
    let desk = Desk::new();
    let set = desk.path("set");
    intact_ok(&["booth", "generate", "--seed", "9", "--items", "3", "--out", &set]);
    let lines = desk.run(&["import", &set]);
    assert!(lines.len() >= 3 && lines.iter().all(|l| l["state"] == "active" && l["features"].as_u64().is_some()), "{lines:?}");
    let first = lines[0]["product"].as_str().unwrap();
    assert_eq!(desk.run(&["enrol", "--product", first, &set])[0]["state"], "known", "one product of the same tables");
    let (code, _, said) = desk.fails(&["enrol", "--product", "nobody", &set]);
    assert!(code == Some(2) && said.contains("no references of `nobody`") && said.contains(first), "{said}");
    let (code, _, said) = desk.fails(&["import", &desk.path("missing")]);
    assert!(code == Some(2) && said.contains("missing"), "{said}");
}

/// What is put back is in use again, and a folder that was exported is imported whole.
#[test]
fn enrols_again_what_was_retired_and_imports_what_was_exported() {
    Desk::each("enrols_again_what_was_retired_and_imports_what_was_exported", |desk| {
        let (top, side) = (desk.save("top.png", &print(3, 180, 140)), desk.save("side.png", &print(4, 180, 140)));
        desk.run(&["enrol", "--product", "tea", "--design", "2", "--camera", "left", &top, &side]);
        desk.run(&["retire", "--product", "tea", "--reference", "top"]);
        assert_eq!(desk.run(&["enrol", "--product", "tea", &top])[0]["state"], "active", "it is asked for again");
        assert_eq!(desk.run(&["enrol", "--product", "tea", &side])[0]["state"], "known");
        assert_eq!(desk.run(&["export", &desk.path("out")])[0]["written"], 4);
        let other = format!("sqlite:{}", desk.path("other.sqlite"));
        let lines = json_lines(&intact_ok(&["gallery", "import", &desk.path("out"), "--gallery", &other, "--json"]));
        assert!(lines.len() == 4 && lines.iter().all(|l| l["state"] == "active"), "a view named `top` is one of several: {lines:?}");
        let told = |url: &str| -> Vec<Value> {
            let shown = json_lines(&intact_ok(&["gallery", "show", "tea", "--gallery", url, "--json"]));
            let references = shown[0]["references"].as_array().unwrap();
            let pick = |r: &Value| serde_json::json!([r["name"], r["version"], r["camera"], r["provenance"], r["width"]]);
            references.iter().map(pick).collect()
        };
        assert_eq!(told(&other), told(&desk.url), "names, designs, cameras and where they came from are kept");
        desk.run(&["enrol", "--product", "tea", &desk.save("back.png", &print(5, 180, 140))]);
        let back = desk.run(&["show", "tea"]);
        let back = back[0]["references"].as_array().unwrap().iter().find(|r| r["name"] == "back").unwrap()["version"].clone();
        assert_eq!(back, 2, "a new view shows the newest design in use");
        let one = desk.run(&["enrol", "--product", "coffee", &desk.path("products")]);
        assert!(one.len() == 1 && one[0]["product"] == "coffee", "one product of a folder of products: {one:?}");
    });
}

/// From the eighth reference on patches are remembered too; they judge only pictures that are taken as the references are.
#[test]
fn many_references_condemn_nothing_that_a_few_find_fine() {
    let desk = Desk::new();
    let views: Vec<String> = (0..9)
        .map(|n| {
            let mut view = print(1, 180, 140);
            view.pixels_mut().for_each(|p| p.0 = p.0.map(|v| v.saturating_sub(n)));
            desk.save(&format!("view{n}.png"), &view)
        })
        .collect();
    let item = desk.save("item.png", &on_a_table(&print(1, 180, 140)));
    let gray = desk.save("plane.png", &RgbImage::from_pixel(640, 480, Rgb([128, 128, 128])));
    desk.run(&[&["enrol", "--product", "tea"], &views.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
    let seen = desk.run(&["verify", "--product", "tea", &item, &gray]);
    assert!(seen[0]["anomaly_score"].as_f64().unwrap() < 0.4, "{}", seen[0]);
    assert!(seen[1]["anomaly_score"].is_null() && seen[1]["coverage"] == 0.0, "what cannot be compared is no finding: {}", seen[1]);
}

/// A disk without a byte left: what is there can be read, and the failure is named.
#[test]
fn a_gallery_on_a_full_disk_is_read_and_says_so() {
    let desk = Desk::new();
    let more: Vec<String> = (10..30).map(|n| desk.save(&format!("{n}.png"), &print(n, 640, 480))).collect();
    let inside = r#"
        mount -t tmpfs -o size=600k tmpfs "$1" || exit 77
        cp "$2" "$1/g.sqlite"; intact="$3"; shift 3; from="$0"
        "$intact" gallery enrol --product more "$@" --gallery "sqlite:$from/g.sqlite"; echo "enrol $?"
        dd if=/dev/zero of="$from/rest" bs=1k >/dev/null 2>&1
        "$intact" gallery list --json --gallery "sqlite:$from/g.sqlite"; echo "list $?"
    "#;
    let small = desk.dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-m", "bash", "-c", inside]).arg(&small).arg(&small).arg(desk.dir.path().join("g.sqlite")).arg(program("intact"));
    let output = command.args(&more).output().ok().filter(|o| o.status.code() != Some(77));
    let Some(output) = output.filter(|o| !String::from_utf8_lossy(&o.stderr).contains("unshare:")) else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: full disk: no private mount namespace here (it needs root)");
        return;
    };
    let (told, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("enrol 2") && said.contains("full"), "{told} {said}");
    assert!(told.contains("list 0") && told.contains("coffee") && !said.contains("disk I/O"), "{told} {said}");
}

#[test]
fn bad_input_is_told_and_nothing_is_made() {
    let desk = Desk::new();
    let gray = desk.save("gray.png", &RgbImage::from_pixel(640, 480, Rgb([128, 128, 128])));
    assert_eq!(desk.run(&["identify", &gray])[0]["decision"], "unknown");
    let plane = &desk.run(&["verify", "--product", "tea", &gray])[0];
    assert!(plane["anomaly_score"].is_null() && plane["coverage"] == 0.0, "nothing was compared, and nothing is fine: {plane}");

    let black = desk.save("black.png", &RgbImage::from_pixel(640, 480, Rgb([0, 0, 0])));
    let empty = desk.save("empty.png", &on_a_table(&RgbImage::from_pixel(1, 1, Rgb([150, 130, 105]))));
    for nothing in [&black, &empty] {
        assert_eq!(desk.run(&["identify", nothing])[0]["decision"], "unknown", "{nothing}");
        let seen = &desk.run(&["verify", "--product", "tea", nothing])[0];
        assert!(seen["anomaly_score"].is_null() && seen["coverage"] == 0.0, "{nothing}: {seen}");
    }
    let turned = desk.save("turned.png", &image::imageops::rotate180(&on_a_table(&print(1, 180, 140))));
    let seen = &desk.run(&["verify", "--product", "tea", &turned])[0];
    assert!(seen["anomaly_score"].as_f64().is_some_and(|s| s < 0.4) && seen["coverage"].as_f64().unwrap() > 0.5, "upside down: {seen}");

    std::fs::write(desk.path("broken.png"), b"no picture").unwrap();
    let (code, lines, _) = desk.fails(&["identify", &desk.path("broken.png"), &gray]);
    assert_eq!((code, lines.len()), (Some(1), 2), "a broken picture does not stop the others");
    assert!(lines[0]["error"].is_string() && lines[0]["decision"] == "unknown");
    let (code, _, said) = desk.fails(&["enrol", "--product", "tea", &desk.path("broken.png")]);
    assert!(code == Some(1) && said.contains("broken.png"), "{said}");
    let (code, _, said) = desk.fails(&["verify", "--product", "cocoa", &gray]);
    assert!(code == Some(2) && said.contains("cocoa"), "{said}");
    let (code, _, said) = desk.fails(&["import", &desk.path("nowhere")]);
    assert!(code == Some(2) && said.contains("nowhere"), "{said}");

    let missing = format!("sqlite:{}", desk.path("none.sqlite"));
    for args in [&["list"][..], &["retire", "--product", "tea"], &["check"], &["identify", &gray]] {
        let output = intact(&[&["gallery"], args, &["--gallery", &missing]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("enrol a product first"));
    }
    assert!(!Path::new(&desk.path("none.sqlite")).exists());
    // Nobody listens on this port of this machine.
    let output = intact(&["gallery", "list", "--gallery", "postgres://u:secret@127.0.0.1:9/gallery"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("postgres://u@127.0.0.1/gallery cannot be reached") && !said.contains("secret"), "{said}");
}

/// Two things in one picture: it is never said to be a third one, and the one that is asked for is found.
#[test]
fn of_two_items_in_view_the_one_asked_for_is_verified() {
    let desk = Desk::new();
    let mut both = on_a_table(&print(1, 180, 140));
    let other = image::imageops::resize(&print(2, 180, 140), 144, 112, image::imageops::FilterType::Triangle);
    image::imageops::replace(&mut both, &other, 60, 200);
    let both = desk.save("both.png", &both);
    let found = &desk.run(&["identify", &both])[0];
    let best = found["ranking"][0]["product"].as_str().unwrap();
    assert!(found["decision"] == "unknown" || ["tea", "coffee"].contains(&best), "{found}");
    for product in ["tea", "coffee"] {
        let seen = &desk.run(&["verify", "--product", product, &both])[0];
        assert!(seen["anomaly_score"].as_f64().is_some_and(|s| s < 0.4), "{product}: {seen}");
    }
}

#[test]
fn a_gallery_file_of_a_newer_version_and_one_cut_off_are_named() {
    let desk = Desk::new();
    let file = desk.path("g.sqlite");
    let whole = std::fs::read(&file).unwrap();
    let newer = [&whole[..60], &9u32.to_be_bytes(), &whole[64..]].concat();
    for (content, words) in [(&newer[..], "version"), (&whole[..whole.len() / 2], "damaged"), (&whole[..50], "")] {
        std::fs::write(&file, content).unwrap();
        for args in [&["list"][..], &["check"], &["retire", "--product", "tea"]] {
            let (code, _, said) = desk.fails(args);
            let lines = said.trim().lines().count();
            assert!(code.is_some_and(|c| c > 0) && said.contains(words) && lines <= 2, "{args:?}, {} bytes: {said}", content.len());
        }
        assert_eq!(std::fs::read(&file).unwrap(), content, "what cannot be read is not written either");
    }
}

#[test]
fn two_programs_write_at_once_and_nothing_is_lost() {
    Desk::each("two_programs_write_at_once_and_nothing_is_lost", |desk| {
        let pictures: Vec<String> = (10..22).map(|seed| desk.save(&format!("p{seed}.png"), &print(seed, 90, 70))).collect();
        let url = desk.url();
        let enrol = |pictures: &[String]| {
            let mut command = Command::new(program("intact"));
            command.args(["gallery", "enrol", "--product", "tea", "--gallery", &url, "--json"]).args(pictures);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        };
        let running = [enrol(&pictures[..6]), enrol(&pictures[6..])];
        assert!(running.into_iter().all(|mut child| child.wait().unwrap().success()));
        let tea = desk.run(&["list"]).into_iter().find(|p| p["product"] == "tea").unwrap();
        assert_eq!(tea["active"], 13, "{tea}");
        assert_eq!(desk.run(&["check"])[0]["ok"], true);
    });
}

#[test]
fn real_things_on_a_table_are_recognised() {
    let Some(data) = real_data("gallery", "retail_arc2017") else { return };
    let desk = Desk::new();
    desk.run(&["import", &data.display().to_string()]);
    let pictures: Vec<String> = ["crayons", "robots_everywhere", "band_aid_tape"]
        .iter()
        .map(|p| data.join(p).join("capture_1.jpg").display().to_string())
        .collect();
    let args: Vec<&str> = std::iter::once("identify").chain(pictures.iter().map(String::as_str)).collect();
    for line in desk.run(&args) {
        let best = line["ranking"][0]["product"].as_str().unwrap();
        assert!(line["image"].as_str().unwrap().contains(best) && line["decision"] == "match", "{line}");
        assert_eq!(line["ranking"].as_array().unwrap().len(), 26, "every product is ranked");
    }
}
