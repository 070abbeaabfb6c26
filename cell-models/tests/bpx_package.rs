//! BPX files of this crate against the PyPI package `bpx`, by way of `reference/bpx_check.py`: the package must accept what
//! this crate writes and evaluate it to the same numbers, and this crate must read what the package writes.
//!
//! Needs a Python with `bpx`: the environment variable `BMS_PYTHON` names it (`python3` otherwise). Skipped without.

use std::path::{Path, PathBuf};
use std::process::Command;

use cell_models::physics::{Electrode, Function, PhysicsParameters, bpx, sets};
use serde_json::{Value, json};

fn python_with_bpx() -> Option<String> {
    let python = std::env::var("BMS_PYTHON").unwrap_or_else(|_| "python3".into());
    let found =
        Command::new(&python).args(["-c", "import bpx, numpy"]).output().is_ok_and(|o| o.status.success());
    if !found {
        println!("skipped: {python} cannot import bpx and numpy (set BMS_PYTHON to one that can)");
    }
    found.then_some(python)
}

/// The example files of About:Energy, which are not ours to ship, and those in the folder that `BMS_BPX_EXAMPLES` names
/// (the `examples` in the source archive of `bpx`); empty where none are at hand.
fn examples() -> Vec<PathBuf> {
    let near = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/physics/generator/inputs");
    let mut files = Vec::new();
    for folder in [Some(near), std::env::var_os("BMS_BPX_EXAMPLES").map(PathBuf::from)].into_iter().flatten()
    {
        files.extend(std::fs::read_dir(folder).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())));
    }
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort();
    if files.is_empty() {
        println!("skipped: the example files of About:Energy are not at hand");
    }
    files
}

/// Reads an example; `None` for one of a kind that is refused on purpose.
fn read_example(file: &Path) -> Option<(String, bpx::Imported)> {
    let text = std::fs::read_to_string(file).expect("the example can be read");
    match bpx::from_json(&text) {
        Ok(imported) => Some((text, imported)),
        Err(e @ (bpx::BpxError::SingleParticleOnly(_) | bpx::BpxError::Blended(_))) => {
            println!("{}: {e}", file.display());
            None
        }
        Err(e) => panic!("{}: {e}", file.display()),
    }
}

fn sample(path: [&str; 3], f: &Function, xs: &[f64]) -> Value {
    let y: Vec<f64> = xs.iter().map(|&x| f.at(x, 298.15)).collect();
    json!({ "path": path, "x": xs, "y": y })
}

/// Values of all functions of a cell as this crate evaluates them.
fn samples(cell: &PhysicsParameters) -> Value {
    const TOP: &str = "Parameterisation";
    let mut list = Vec::new();
    let electrode = |name: &'static str, e: &Electrode, list: &mut Vec<Value>| {
        let [low, high] = e.stoichiometry_window;
        let xs: Vec<f64> = (0..=40).map(|k| low + (high - low) * f64::from(k) / 40.0).collect();
        let mut add = |key, f: &Function| list.push(sample([TOP, name, key], f, &xs));
        add("OCP [V]", &e.ocp_v);
        add("Diffusivity [m2.s-1]", &e.diffusivity_m2_per_s.at_reference);
        add("Entropic change coefficient [V.K-1]", &e.entropic_v_per_k);
        add("Reaction rate constant [mol.m-2.s-1]", &e.reaction_rate_mol_per_m2_s.at_reference);
        if let Some(h) = &e.hysteresis {
            add("OCP (lithiation) [V]", &h.lithiation_v);
            add("OCP (delithiation) [V]", &h.delithiation_v);
        }
    };
    electrode("Negative electrode", &cell.negative, &mut list);
    electrode("Positive electrode", &cell.positive, &mut list);
    let concentrations: Vec<f64> = (1..=20).map(|k| 100.0 * f64::from(k)).collect();
    for (key, law) in [
        ("Diffusivity [m2.s-1]", &cell.electrolyte.diffusivity_m2_per_s),
        ("Conductivity [S.m-1]", &cell.electrolyte.conductivity_s_per_m),
    ] {
        list.push(sample([TOP, "Electrolyte", key], &law.at_reference, &concentrations));
    }
    Value::Array(list)
}

/// Equal but for the last digit of the active fractions, which BPX has as surface per volume.
fn assert_same(mut a: PhysicsParameters, b: &PhysicsParameters, what: &str) {
    for (ours, theirs) in [(&mut a.negative, &b.negative), (&mut a.positive, &b.positive)] {
        assert!((ours.active_fraction - theirs.active_fraction).abs() < 1e-15, "{what}");
        ours.active_fraction = theirs.active_fraction;
    }
    assert_eq!(&a, b, "{what}");
}

/// A formula with every construct of the language, and a hand-made cell for what the sets do not have.
fn handmade() -> (PhysicsParameters, bpx::Extras) {
    let mut cell = sets::prada2013();
    let formula = |text| Function::expression(text).expect(text);
    cell.positive.entropic_v_per_k = formula(
        "1e-4 * (-x ** 2 + 2 ** -x ** 2 - 2 ** 3 ** .5 / (4 - -x) + cosh(x) * --x - (-x) ** 2 * 1.e-1)",
    );
    cell.negative.entropic_v_per_k =
        Function::table(vec![0.0, 0.3, 1.0], vec![1e-4, -2e-4, 3e-5]).expect("table");
    cell.contact_resistance_ohm = 2e-3;
    cell.electrolyte.thermodynamic_factor = formula("1 + x / 5000");
    cell.electrode_pairs = 3.0;
    cell.electrode_area_m2 /= 3.0;
    let mut extras = bpx::Extras { description: "made by hand".into(), ..Default::default() };
    extras.state.initial_soc = Some(0.25);
    extras.state.initial_positive_hysteresis = Some(-1.0);
    extras.state.degradation =
        Some(bpx::Degradation { lithium_loss: 0.1, negative_loss: 0.05, positive_loss: 0.02 });
    let experiment = bpx::Experiment {
        time_s: vec![0.0, 1.5],
        current_a: vec![2.3, 2.3],
        voltage_v: vec![3.2, 3.1],
        temperature_k: None,
    };
    extras.validation.insert("1C discharge".into(), experiment);
    extras.user_defined.insert("of my own".into(), bpx::UserValue::Function(3.0.into()));
    (cell, extras)
}

#[test]
fn package_and_crate_understand_each_other() {
    let Some(python) = python_with_bpx() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bpx_package");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder for the files");
    let mut cells: Vec<(String, PhysicsParameters, bpx::Extras)> = sets::all()
        .iter()
        .map(|e| (e.name.into(), bpx::arrhenius_approximation(&e.parameters()).0, Default::default()))
        .collect();
    let (cell, extras) = handmade();
    cells.push(("handmade".into(), cell, extras));
    for file in examples() {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let Some((text, imported)) = read_example(&file) else { continue };
        // The file itself must evaluate to the same numbers, too.
        std::fs::write(folder.join(format!("{name}_original.bpx.json")), &text).expect("written");
        let values = samples(&imported.parameters).to_string();
        std::fs::write(folder.join(format!("{name}_original.samples.json")), values).expect("written");
        cells.push((name, imported.parameters, imported.extras));
    }
    for (name, cell, extras) in &cells {
        let text = bpx::to_json(cell, extras).unwrap_or_else(|e| panic!("{name}: {e}"));
        std::fs::write(folder.join(format!("{name}.bpx.json")), &text).expect("written");
        std::fs::write(folder.join(format!("{name}.samples.json")), samples(cell).to_string())
            .expect("written");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/bpx_check.py");
    let output = Command::new(&python).arg(script).arg(&folder).output().expect("Python runs");
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the package and this crate disagree");
    for (name, _, _) in &cells {
        let read = |kind: &str| {
            let text = std::fs::read_to_string(folder.join(format!("{name}.{kind}.json"))).expect("written");
            bpx::from_json(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
        };
        let (ours, theirs) = (read("bpx"), read("package"));
        assert_same(ours.parameters, &theirs.parameters, name);
        assert_eq!(ours.extras, theirs.extras, "{name}");
        let repeated = ours.warnings.iter().all(|w| w.contains("cut-off") || w.contains("aged"));
        assert!(repeated && ours.warnings == theirs.warnings, "{name}: {:?}", ours.warnings);
    }
}

#[test]
fn examples_of_about_energy_survive_the_round_trip() {
    for file in examples() {
        let what = file.display().to_string();
        let Some((_, first)) = read_example(&file) else { continue };
        let second =
            bpx::from_json(&bpx::to_json(&first.parameters, &first.extras).expect("written")).expect("read");
        assert_same(second.parameters, &first.parameters, &what);
        assert_eq!(second.extras, first.extras, "{what}");
        println!("{what}: {:?}", first.warnings);
    }
}
