use super::*;

const LIMITS: Limits = Limits { max_entries: 10, max_age_millis: 1000, max_size: 100 };

#[test]
fn the_first_miss_counts() {
    let metrics = Arc::new(Metrics::default());
    let caches = Caches::new(Arc::clone(&metrics));
    for n in 0..2 {
        assert_eq!(text(&caches, "new", "a", n), None);
    }
    stored(&caches, "new", "a", Value::text("x"), LIMITS, 2);
    assert!(text(&caches, "new", "a", 3).is_some() && text(&caches, "new", "b", 3).is_none());
    for n in 0..10_000 {
        assert_eq!(text(&caches, &format!("other {n}"), "a", 3), None);
    }
    let page = metrics.page();
    let count = |line: &str| page.lines().filter(|found| found.starts_with(line)).count();
    assert_eq!(count("portcullis_cache_lookups_total{cache=\"new\",result=\"miss\"} 3"), 1, "{page}");
    assert_eq!(count("portcullis_cache_lookups_total{cache=\"new\",result=\"hit\"} 1"), 1, "{page}");
    assert!(count("portcullis_cache_lookups_total{cache=\"other") <= MAX_CACHES);
}

fn stored(caches: &Caches, id: &str, key: impl AsRef<str>, value: Value, limits: Limits, now: i64) -> bool {
    caches.store(id, key.as_ref(), value, limits, now, Author::OUTSIDE).fits
}

fn text(caches: &Caches, id: &str, key: &str, now: i64) -> Option<String> {
    caches.lookup(id, key, None, now).map(|value| value.as_text().into_owned())
}

#[test]
fn values_live_as_long_as_they_may() {
    let caches = Caches::default();
    assert!(stored(&caches, "a", "k", Value::from("v"), LIMITS, 0));
    assert_eq!(text(&caches, "a", "k", 999).as_deref(), Some("v"));
    assert_eq!(text(&caches, "b", "k", 0), None, "caches do not share keys");
    assert!(caches.lookup("a", "k", Some(500), 499).is_some());
    assert!(caches.lookup("a", "k", Some(500), 500).is_none(), "the reader may want a fresher one");
    assert_eq!(text(&caches, "a", "k", 1000), None);
    assert_eq!(caches.stats()[0], Stats { id: "a".into(), hits: 2, misses: 2, entries: 0 });
}

#[test]
fn a_star_means_every_cache_whose_name_begins_so() {
    let caches = Caches::default();
    for id in ["a", "a30", "a60", "b"] {
        stored(&caches, id, "k", Value::from("1"), LIMITS, 0);
        stored(&caches, id, "x", Value::from("1"), LIMITS, 0);
    }
    assert!(caches.remove("a*", Key::of("k"), Author::OUTSIDE));
    assert!(!caches.remove("a*", Key::of("k"), Author::OUTSIDE));
    caches.flush("a3*", Author::OUTSIDE);
    let left = ["a", "a30", "a60", "b"].map(|id| (text(&caches, id, "k", 0).is_some(), text(&caches, id, "x", 0).is_some()));
    assert_eq!(left, [(false, true), (false, false), (false, true), (true, true)]);
}

#[test]
fn values_are_replaced_removed_and_flushed() {
    let caches = Caches::default();
    stored(&caches, "a", "k", Value::from("1"), LIMITS, 0);
    stored(&caches, "a", "k", Value::from("2"), LIMITS, 0);
    assert_eq!(text(&caches, "a", "k", 0).as_deref(), Some("2"));
    assert!(caches.remove("a", Key::of("k"), Author::OUTSIDE));
    assert!(!caches.remove("a", Key::of("k"), Author::OUTSIDE));
    stored(&caches, "a", "x", Value::from("1"), LIMITS, 0);
    caches.flush("a", Author::OUTSIDE);
    assert_eq!(text(&caches, "a", "x", 0), None);
}

#[test]
fn number_and_size_are_bounded() {
    for max_entries in [FEW, 20, 100, 5000] {
        let caches = Caches::default();
        let limits = Limits { max_entries, ..LIMITS };
        for i in 0..max_entries * 3 {
            assert!(stored(&caches, "a", i.to_string(), Value::from("v"), limits, 0));
        }
        let entries = caches.stats()[0].entries;
        assert!(entries <= max_entries && entries >= max_entries * 3 / 4, "{entries} of {max_entries}");
        let last = (max_entries * 3 - 1).to_string();
        assert!(text(&caches, "a", &last, 0).is_some(), "the newest is there, of {max_entries}");
    }
    let caches = Caches::default();
    stored(&caches, "a", "k", Value::from("old"), LIMITS, 0);
    assert!(!stored(&caches, "a", "k", Value::from("x".repeat(101)), LIMITS, 0));
    assert_eq!(text(&caches, "a", "k", 0), None, "a value too large does not leave an older one behind");
    assert!(stored(&caches, "a", "k", Value::from("v"), Limits { max_age_millis: 0, ..LIMITS }, 0));
    assert_eq!(text(&caches, "a", "k", 0), None);
}

#[test]
fn there_is_an_end_to_new_caches() {
    let caches = Caches::default();
    for i in 0..MAX_CACHES {
        assert!(stored(&caches, &i.to_string(), "k", Value::from("v"), LIMITS, 0));
    }
    assert!(!stored(&caches, "one more", "k", Value::from("v"), LIMITS, 0));
}

#[test]
fn what_was_removed_meanwhile_is_not_stored() {
    let caches = Caches::default();
    let mut slow = caches.author();
    let store = |author| caches.store("a:30", "k", Value::from("old"), LIMITS, 0, author);
    caches.apply(&Removal::key("a:#", "k"), Author::OUTSIDE);
    assert_eq!(store(slow), Stored { fits: true, replaced: false });
    assert_eq!(text(&caches, "a:30", "k", 0), None, "it was read before the removal");
    store(caches.author());
    assert!(text(&caches, "a:30", "k", 0).is_some());
    slow.removes();
    caches.apply(&Removal::all("a:#"), slow);
    assert_eq!(text(&caches, "a:30", "k", 0), None);
    store(slow);
    assert_eq!(text(&caches, "a:30", "k", 0), None, "the removal by another one still counts");
    let late = caches.author();
    caches.flush_all();
    store(late);
    assert_eq!(text(&caches, "a:30", "k", 0), None);
}

#[test]
fn whoever_replaces_a_value_learns_it() {
    let caches = Caches::default();
    let replaced = |value: Value, now| caches.store("a", "k", value, LIMITS, now, caches.author()).replaced;
    let document = |number: i64| Value::json(serde_json::json!({ "a": [number] }));
    assert!(!replaced(document(1), 0));
    assert!(!replaced(document(1), 0), "the same again");
    assert!(replaced(document(2), 0));
    assert!(!replaced(document(3), 1000), "the other one has expired");
    assert!(replaced(Value::text("x".repeat(200)), 1000), "one too large replaces it by nothing");
}

#[test]
fn what_is_not_trusted_lives_shorter() {
    let caches = Caches::default();
    stored(&caches, "a", "k", Value::from("v"), LIMITS, 0);
    caches.distrust(100, 200);
    caches.distrust(250, 200);
    assert!(text(&caches, "a", "k", 299).is_some());
    stored(&caches, "a", "later", Value::from("v"), LIMITS, 250);
    assert_eq!(text(&caches, "a", "k", 300), None);
    assert!(text(&caches, "a", "later", 449).is_some());
    assert_eq!(text(&caches, "a", "later", 450), None);
    stored(&caches, "a", "k", Value::from("v"), LIMITS, 450);
    caches.trust();
    assert_eq!(text(&caches, "a", "k", 450), None, "removals may have been missed");
    stored(&caches, "a", "k", Value::from("v"), LIMITS, 450);
    assert!(text(&caches, "a", "k", 1449).is_some());
}
