//! `bms model` as a user calls it.

#[test]
fn compare_tells_how_far_a_model_is_from_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run.csv");
    let rows = "Test Time / s,Voltage / V,Current / A,Surface Temperature / degC\n\
                0,3.9,0,20\n1,3.75,-5,20\n2,3.745,-5,\n10,3.73,-5,20\n20,3.72,-5,20\n";
    std::fs::write(&run, rows).unwrap();
    let run = run.to_str().unwrap();
    let text = ok(&["model", "compare", "chen2020", run]);
    assert!(text.contains("run.csv") && text.contains("pulse"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&ok(&["model", "compare", "generic_nmc_5ah", run, "--json", "--own-heat"]))
            .unwrap();
    let part = &json["parts"][0];
    assert_eq!((part["kind"].as_str(), part["rest_voltage_v"].as_f64()), (Some("pulse"), Some(3.9)));
    assert!((part["resistance"]["measured_mohm"].as_f64().unwrap() - 34.0).abs() < 1e-6, "{part}");
    for args in [&["model", "compare", "chen2020"][..], &["model", "compare", "chen2020", "none.csv"]] {
        assert_eq!(bms(args).code, 2);
    }
}
