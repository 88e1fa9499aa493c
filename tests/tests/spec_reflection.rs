//! Reflection (advanced profile, "Interface Reflection").

use wampline_shard::{Config, MetaApi};
use wampline_tests::stage::{play, play_with, stages};

fn full(config: &mut Config) {
    config.realms.iter_mut().for_each(|realm| realm.meta = MetaApi::Full);
}

#[test]
fn topics_procedures_and_errors_are_listed() {
    for mut stage in stages(full) {
        stage.play(
            r#"
            a> [64, 1, {}, "com.app.add"]
            a< [65, 1, $_]
            a> [32, 2, {}, "com.app.topic"]
            a< [33, 2, $_]
            a> [48, 3, {}, "wamp.reflect.define", ["com.app.error", {"doc": "it fails"}], {"type": "error"}]
            a< [50, 3, {}]
            b> [48, 1, {}, "wamp.reflection.procedure.list"]
            b> [48, 2, {}, "wamp.reflection.topic.list"]
            b> [48, 3, {}, "wamp.reflection.error.list"]
            "#,
        );
        for expected in [
            ["com.app.add", "wamp.session.count", "wamp.reflect.describe"],
            ["com.app.topic", "wamp.session.on_join", "wamp.registration.on_create"],
            ["com.app.error", "wamp.error.no_such_session", "wamp.error.invalid_argument"],
        ] {
            let result = stage.hear("b").expect("RESULT");
            let uris: Vec<&str> =
                result[3][0].as_array().expect("a list").iter().filter_map(|uri| uri.as_str()).collect();
            assert!(uris.is_sorted() && expected.iter().all(|uri| uris.contains(uri)), "{uris:?}");
        }
        stage.finish();
    }
}

#[test]
fn a_uri_is_defined_described_and_undefined() {
    play_with(
        full,
        r#"
        w> [32, 1, {}, "wamp.reflect.on_define"]
        w< [33, 1, $on]
        w> [32, 2, {}, "wamp.reflect.on_undefine"]
        w< [33, 2, $off]
        a> [64, 1, {}, "com.add"]
        a< [65, 1, $r]
        a> [48, 2, {}, "wamp.reflect.define", ["com.add", {"args": ["int", "int"]}]]
        a< [50, 2, {}]
        w< [36, $on, $_, {}, ["com.add", "procedure", {"args": ["int", "int"]}]]
        b> [48, 1, {}, "wamp.reflection.procedure.describe", ["com.add"]]
        b< [50, 1, {}, [{"uri": "com.add", "type": "procedure", "router": false, "description": {"args": ["int", "int"]}, "registration": $r}]]
        b> [48, 2, {}, "wamp.reflect.describe", ["com.add"]]
        b< [50, 2, {}, [{..., "type": "procedure", "description": {"args": ["int", "int"]}}]]
        b> [48, 3, {}, "wamp.reflection.topic.describe", ["com.add"]]
        b< [50, 3, {}, [null]]
        b> [48, 4, {}, "wamp.reflect.define", ["com.add", null]]
        b< [50, 4, {}]
        w< [36, $off, $_, {}, ["com.add", "procedure"]]
        b> [48, 5, {}, "wamp.reflection.procedure.describe", ["com.add"]]
        b< [50, 5, {}, [{..., "description": null, "registration": $r}]]
        b> [48, 6, {}, "wamp.reflection.procedure.describe", ["wamp.session.count"]]
        b< [50, 6, {}, [{"uri": "wamp.session.count", "type": "procedure", "router": true, "description": null}]]
        b> [48, 7, {}, "wamp.reflection.error.describe", ["wamp.error.timeout"]]
        b< [50, 7, {}, [{..., "router": true, "type": "error"}]]
        b> [48, 8, {}, "wamp.reflect.define", ["com.add", null]]
        b< [50, 8, {}]
        "#,
    );
}

#[test]
fn definitions_are_checked() {
    play_with(
        full,
        r#"
        a> [48, 1, {}, "wamp.reflect.define", ["wamp.session.count", {}]]
        a< [8, 48, 1, {}, "wamp.error.invalid_uri", [$_]]
        a> [48, 2, {}, "wamp.reflect.define", ["com.x", "text"]]
        a< [8, 48, 2, {}, "wamp.error.invalid_argument", [$_]]
        a> [48, 3, {}, "wamp.reflect.define", ["com.x", {}], {"type": "thing"}]
        a< [8, 48, 3, {}, "wamp.error.invalid_argument", [$_]]
        a> [48, 4, {}, "wamp.reflect.describe", [1]]
        a< [8, 48, 4, {}, "wamp.error.invalid_argument", [$_]]
        "#,
    );
}

#[test]
fn what_nobody_knows_is_null() {
    play(
        r#"
        a> [48, 1, {}, "wamp.reflect.describe", ["com.nothing"]]
        a< [50, 1, {}, [null]]
        "#,
    );
}
