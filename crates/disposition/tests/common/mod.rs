//! One item that speaks for itself: intact, recognised, pickable.
#![allow(dead_code)] // each test binary uses its part

use std::sync::Arc;

use disposition::{Arrival, Evidence, Gallery, GalleryInput, Inspection, Instance, Pick};

pub const STAMP_NS: i64 = 1_000_000_000_000;

pub fn arrival(id: &str) -> Arrival {
    Arrival { item_id: id.into(), stamp_ns: STAMP_NS, ..Arrival::default() }
}

pub fn pick() -> Pick {
    Pick {
        frame_id: "camera_color_optical_frame".into(),
        stamp_ns: STAMP_NS,
        position_m: [0.0, 0.0, 0.9],
        orientation_xyzw: [1.0, 0.0, 0.0, 0.0],
    }
}

pub fn instance(instance_id: u16) -> Instance {
    Instance { instance_id, damage_score: 0.1, pick: Some(pick()), ..Instance::default() }
}

pub fn inspection(id: &str) -> Inspection {
    Inspection {
        item_id: id.into(),
        stamp_ns: STAMP_NS,
        frame_id: "camera_color_optical_frame".into(),
        ok: true,
        instances: vec![instance(1)],
        damage_score: 0.1,
        damage_threshold: 0.5,
        model: "classical".into(),
        ..Inspection::default()
    }
}

pub fn gallery(id: &str) -> Gallery {
    Gallery {
        item_id: id.into(),
        stamp_ns: STAMP_NS,
        ok: true,
        has_reference: true,
        product: "cup".into(),
        identity_score: 0.9,
        anomaly_score: 0.05,
        coverage: 0.9,
        version: "v1".into(),
        ..Gallery::default()
    }
}

pub fn evidence() -> Evidence {
    Evidence {
        item_id: "i".into(),
        arrival: Some(Arc::new(arrival("i"))),
        inspection: Some(Arc::new(inspection("i"))),
        gallery: GalleryInput::Report(Arc::new(gallery("i"))),
        ..Evidence::default()
    }
}
