use proptest::prelude::*;

use super::*;

pub(super) const CELL: CellNode = CellNode {
    core_j_per_k: 840.0,
    surface_j_per_k: 60.0,
    core_surface_w_per_k: 5.0,
    surface_ambient_w_per_k: 0.1,
};

pub(super) const GLYCOL: Coolant = Coolant {
    j_per_l_k: 3500.0,
    channel_l: 0.02,
    tank_l: 2.0,
    nominal_flow_l_per_min: 10.0,
    flow_exponent: 0.8,
    still_share: 0.05,
    tank_to_ambient_w_per_k: 0.0,
};

/// `n` insulated cells in a row, each on an own plate segment, one channel under all.
pub(super) fn row(n: usize) -> NetworkLayout {
    NetworkLayout {
        cells: vec![CellNode { surface_ambient_w_per_k: 0.0, ..CELL }; n],
        neighbours: (1..n).map(|k| Neighbour { a: k - 1, b: k, w_per_k: 3.0 }).collect(),
        plates: vec![PlateSegment { j_per_k: 75.0, to_ambient_w_per_k: 0.0 }; n],
        contacts: (0..n).map(|k| Contact { cell: k, plate: k, w_per_k: 4.0 }).collect(),
        channels: vec![Channel { visits: (0..n).collect(), w_per_k: 20.0, share: 1.0, blocked: 0.0 }],
        coolant: GLYCOL,
        films: vec![Film { cells: (0..n).collect(), max_w: 10.0 * n as f64 }],
    }
}

fn run(
    network: &mut ThermalNetwork,
    heat_w: &[f64],
    actuation: &Actuation,
    ambient_c: f64,
    dt_s: f64,
    steps: u32,
) {
    (0..steps).for_each(|_| network.step(heat_w, actuation, ambient_c, dt_s).unwrap());
    let energy = network.energy();
    assert!(energy.imbalance_j().abs() <= 1e-9 * energy.throughput_j + 1e-6, "{energy:?}");
}

fn near(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance, "{a} is not {b} within {tolerance}");
}

#[test]
fn one_cell_on_a_plate_in_the_open_ends_at_its_steady_state() {
    let mut layout = row(1);
    layout.channels.clear();
    layout.cells[0].surface_ambient_w_per_k = 0.5;
    layout.plates[0].to_ambient_w_per_k = 1.0;
    for dt in [1.0, 300.0] {
        let mut network = ThermalNetwork::new(layout.clone(), 20.0).unwrap();
        run(&mut network, &[10.0], &Actuation::off(&[0.0]), -5.0, dt, (40_000.0 / dt) as u32);
        // From the surface 0.5 W/K in parallel with 4 and 1 W/K in series.
        let surface = -5.0 + 10.0 / (0.5 + 4.0 / 5.0);
        near(network.surface_c()[0], surface, 1e-6);
        near(network.core_c()[0], surface + 10.0 / 5.0, 1e-6);
        near(network.plate_c()[0], -5.0 + (surface + 5.0) * 4.0 / 5.0, 1e-6);
    }
}

#[test]
fn a_cell_in_the_open_warms_as_its_two_nodes_do_exactly() {
    let mut layout = row(1);
    layout.contacts.clear();
    layout.cells[0] = CELL;
    let mut network = ThermalNetwork::new(layout, 25.0).unwrap();
    for k in 1..=60 {
        run(&mut network, &[15.0], &Actuation::off(&[0.0]), 10.0, 60.0, 1);
        let [core, surface] = CELL.step([25.0, 25.0], 10.0, 15.0, 60.0 * f64::from(k));
        near(network.core_c()[0], core, 0.004 * (core - 25.0));
        near(network.surface_c()[0], surface, 0.004 * (surface - 25.0));
    }
}

#[test]
fn a_plate_and_still_coolant_level_out_exponentially() {
    // Plate 750 J/K and 0.2 L (700 J/K) over 1 W/K: the difference decays with 1/750 + 1/700 per s.
    let mut layout = row(1);
    layout.contacts.clear();
    layout.plates[0].j_per_k = 750.0;
    layout.coolant = Coolant { channel_l: 0.2, still_share: 0.05, ..GLYCOL };
    let mut network = ThermalNetwork::new(layout, 20.0).unwrap();
    network.state.plate[0] = 50.0;
    network.start = network.stored_j();
    for k in 1..=10 {
        run(&mut network, &[0.0], &Actuation::off(&[0.0]), 20.0, 1.0, 100);
        let apart = 30.0 * (-100.0 * f64::from(k) * (1.0 / 750.0 + 1.0 / 700.0)).exp();
        let mean = 20.0 + 30.0 * 750.0 / 1450.0;
        near(network.plate_c()[0], mean + apart * 700.0 / 1450.0, 0.02);
        near(network.coolant_c()[0], mean - apart * 750.0 / 1450.0, 0.02);
    }
}

#[test]
fn ten_litres_a_minute_carry_0_58_kw_per_kelvin() {
    // Standard value for equal parts of water and glycol (3.5 kJ/(L K)): 10 L/min times 3500 J/(L K) = 583 W/K.
    let n = 96;
    let mut network = ThermalNetwork::new(row(n), 25.0).unwrap();
    let heat = vec![6.0; n];
    let cooling = Actuation { flow_l_per_min: 10.0, chiller_w: 6.0 * n as f64, ..Actuation::off(&[0.0]) };
    run(&mut network, &heat, &cooling, 25.0, 10.0, 4000);
    let rise = network.outlet_c() - network.inlet_c();
    near(6.0 * n as f64 / rise, 583.3, 0.1);
    // Without conduction along the row, each segment adds 6 W / 583 W/K, and each cell lies above its coolant by
    // 6 W over 20, 4 and 5 W/K in series.
    let mut layout = row(n);
    layout.neighbours.clear();
    let mut network = ThermalNetwork::new(layout, 25.0).unwrap();
    run(&mut network, &heat, &cooling, 25.0, 10.0, 4000);
    for k in 0..n {
        let coolant = network.inlet_c() + (k + 1) as f64 * 6.0 / (3500.0 / 6.0);
        near(network.coolant_c()[k], coolant, 1e-6);
        near(network.core_c()[k], coolant + 6.0 / 20.0 + 6.0 / 4.0 + 6.0 / 5.0, 1e-6);
    }
}

#[test]
fn a_hairpin_evens_out_the_plate() {
    let spread = |visits: Vec<usize>, w_per_k| {
        let mut layout = row(24);
        layout.neighbours.clear();
        layout.channels[0] = Channel { visits, w_per_k, share: 1.0, blocked: 0.0 };
        let mut network = ThermalNetwork::new(layout, 25.0).unwrap();
        let cooling = Actuation { flow_l_per_min: 4.0, chiller_w: 240.0, ..Actuation::off(&[0.0]) };
        run(&mut network, &[10.0; 24], &cooling, 25.0, 10.0, 3000);
        let plate = network.plate_c();
        plate.iter().fold(f64::MIN, |m, &t| m.max(t)) - plate.iter().fold(f64::MAX, |m, &t| m.min(t))
    };
    let once = spread((0..24).collect(), 40.0);
    let hairpin = spread((0..24).chain((0..24).rev()).collect(), 20.0);
    // One way: Q / (m c) from segment to segment. Hairpin: both legs exchange heat over the plate, so that with q per
    // segment, G per leg and m in W/K, d = q (n - x) / m lies between the legs and their mean rises by
    // integral G d / (2 m) = G q n^2 / (4 m^2).
    let (m, g) = (4.0 * 3500.0 / 60.0, 20.0 * 0.4_f64.powf(0.8));
    near(once, 10.0 * 23.0 / m, 1e-6);
    near(hairpin, g * 10.0 * 24.0 * 24.0 / (4.0 * m * m), 0.02);
    assert!(hairpin < 0.25 * once);
}

#[test]
fn reversing_the_flow_evens_out_the_row() {
    let spread = |reversing: bool| {
        let mut layout = row(24);
        layout.neighbours.clear();
        let mut network = ThermalNetwork::new(layout, 25.0).unwrap();
        let mut cooling = Actuation { flow_l_per_min: 2.0, chiller_w: 240.0, ..Actuation::off(&[0.0]) };
        for k in 0..60 {
            cooling.reverse = reversing && k % 2 == 1;
            run(&mut network, &[10.0; 24], &cooling, 25.0, 1.0, 120);
        }
        network.core_c()[23] - network.core_c()[0]
    };
    let (one_way, both_ways) = (spread(false), spread(true));
    assert!(one_way > 1.5 && both_ways.abs() < 0.4 * one_way, "{one_way} {both_ways}");
}

#[test]
fn reversed_flow_is_the_mirror_image() {
    let mut layout = row(12);
    layout.channels[0].visits.reverse();
    let mut mirrored = ThermalNetwork::new(layout, 25.0).unwrap();
    let mut network = ThermalNetwork::new(row(12), 25.0).unwrap();
    let heat: Vec<f64> = (0..12).map(f64::from).collect();
    let forward = Actuation { flow_l_per_min: 5.0, chiller_w: 50.0, ..Actuation::off(&[0.0]) };
    run(&mut mirrored, &heat, &forward, 20.0, 1.0, 500);
    run(&mut network, &heat, &Actuation { reverse: true, ..forward }, 20.0, 1.0, 500);
    for (a, b) in network.core_c().iter().zip(mirrored.core_c()) {
        near(*a, *b, 1e-9);
    }
    near(network.outlet_c(), mirrored.outlet_c(), 1e-9);
}

#[test]
fn a_blocked_channel_warms_its_cells() {
    let mut layout = row(24);
    layout.channels = (0..4)
        .map(|c| Channel { visits: (6 * c..6 * c + 6).collect(), w_per_k: 20.0, share: 1.0, blocked: 0.0 })
        .collect();
    let mut network = ThermalNetwork::new(layout, 25.0).unwrap();
    let cooling = Actuation { flow_l_per_min: 8.0, chiller_w: 240.0, ..Actuation::off(&[0.0]) };
    run(&mut network, &[10.0; 24], &cooling, 25.0, 10.0, 1000);
    near(network.core_c()[2], network.core_c()[2 + 6], 0.05);
    network.set_blocked(0, 0.9).unwrap();
    run(&mut network, &[10.0; 24], &cooling, 25.0, 10.0, 1000);
    let (blocked, open) = (network.core_c()[2], network.core_c()[2 + 12]);
    assert!(blocked > open + 1.0, "{blocked} {open}");
    // All blocked: the coolant stands, the tank is alone with the chiller.
    (0..4).for_each(|c| network.set_blocked(c, 1.0).unwrap());
    let tank = network.inlet_c();
    run(&mut network, &[0.0; 24], &Actuation { chiller_w: 7.0, ..cooling }, 25.0, 1.0, 100);
    near(network.inlet_c(), tank - 700.0 / 7000.0, 1e-9);
}

#[test]
fn a_film_and_the_heater_put_in_what_they_say() {
    let mut network = ThermalNetwork::new(row(8), -20.0).unwrap();
    let film = [80.0];
    let heating = Actuation { heater_w: 500.0, flow_l_per_min: 10.0, ..Actuation::off(&film) };
    run(&mut network, &[0.0; 8], &heating, -20.0, 1.0, 600);
    let energy = network.energy();
    near(energy.from_films_j, 80.0 * 600.0, 1e-6);
    near(energy.from_heater_j, 500.0 * 600.0, 1e-6);
    assert!(network.core_c().iter().all(|&t| t > -10.0) && network.surface_c()[0] > network.core_c()[0]);
}

#[test]
fn a_radiator_brings_the_tank_to_ambient() {
    let mut network = ThermalNetwork::new(row(1), 40.0).unwrap();
    let open = Actuation { flow_l_per_min: 5.0, radiator_w_per_k: 50.0, ..Actuation::off(&[0.0]) };
    run(&mut network, &[20.0], &open, 15.0, 10.0, 2000);
    near(network.inlet_c(), 15.0 + 20.0 / 50.0, 1e-6);
}

#[test]
fn long_steps_end_where_short_ones_do() {
    let heat: Vec<f64> = (0..24).map(|k| 2.0 + 0.2 * f64::from(k)).collect();
    let cooling = Actuation { flow_l_per_min: 3.0, chiller_w: 100.0, ..Actuation::off(&[0.0]) };
    let mut short = ThermalNetwork::new(row(24), 30.0).unwrap();
    let mut long = short.clone();
    run(&mut short, &heat, &cooling, 20.0, 0.5, 1800);
    run(&mut long, &heat, &cooling, 20.0, 300.0, 3);
    for (a, b) in short.core_c().iter().zip(long.core_c()) {
        near(*a, *b, 0.02);
    }
}

#[test]
fn a_cell_of_practically_one_node_needs_no_tiny_steps() {
    let mut layout = row(4);
    layout.cells = vec![CellNode::lumped(900.0, 0.5); 4];
    let mut network = ThermalNetwork::new(layout, 25.0).unwrap();
    assert!(network.cell_substep_s > 5.0);
    run(&mut network, &[10.0; 4], &Actuation::off(&[0.0]), 25.0, 1.0, 1800);
    // One node of 900 J/K, plate and coolant of 145 J/K (and the insulated tank of none) with it, over 0.5 W/K.
    let rise = 20.0 * -(-0.5 * 1800.0 / 1045.0_f64).exp_m1();
    near(network.core_c()[0], 25.0 + rise, 0.3);
    near(network.core_c()[0] - network.surface_c()[0], 0.02, 0.01);
}

#[test]
fn a_step_does_what_two_halves_do_and_nothing_in_no_time() {
    let mut network = ThermalNetwork::new(row(3), 25.0).unwrap().with_cells_c(&[10.0, 20.0, 60.0]).unwrap();
    assert_eq!(network.core_c(), [10.0, 20.0, 60.0]);
    let before = network.clone();
    network.step(&[5.0; 3], &Actuation::off(&[0.0]), 25.0, 0.0).unwrap();
    assert_eq!(network.core_c(), before.core_c());
    // Middle and left cell warm, the hot one cools.
    run(&mut network, &[0.0; 3], &Actuation::off(&[0.0]), 25.0, 1.0, 100);
    let now = network.core_c();
    assert!(now[0] > 10.0 && now[1] > 20.0 && now[2] < 60.0);
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let mut network = ThermalNetwork::new(row(3), 25.0).unwrap();
    let film = [1.0];
    let good = Actuation { flow_l_per_min: 5.0, ..Actuation::off(&film) };
    network.step(&[1.0; 3], &good, 20.0, 1.0).unwrap();
    let before = format!("{:?}", network.state);
    let nan = f64::NAN;
    for (bad, heat, ambient, dt) in [
        (Actuation { flow_l_per_min: -1.0, ..good }, 1.0, 20.0, 1.0),
        (Actuation { flow_l_per_min: nan, ..good }, 1.0, 20.0, 1.0),
        (Actuation { chiller_w: -1.0, ..good }, 1.0, 20.0, 1.0),
        (Actuation { heater_w: nan, ..good }, 1.0, 20.0, 1.0),
        (Actuation { radiator_w_per_k: -0.1, ..good }, 1.0, 20.0, 1.0),
        (Actuation { film_w: &[-1.0], ..good }, 1.0, 20.0, 1.0),
        (Actuation { film_w: &[], ..good }, 1.0, 20.0, 1.0),
        (good, nan, 20.0, 1.0),
        (good, 1e9, 20.0, 1.0),
        (good, 1.0, nan, 1.0),
        (good, 1.0, -300.0, 1.0),
        (good, 1.0, 20.0, -1.0),
        (good, 1.0, 20.0, nan),
        (good, 1.0, 20.0, 1e9),
    ] {
        assert!(network.step(&[1.0, heat, 1.0], &bad, ambient, dt).is_err(), "{bad:?} {heat} {ambient} {dt}");
        assert_eq!(format!("{:?}", network.state), before);
    }
    assert!(matches!(
        network.step(&[1.0; 2], &good, 20.0, 1.0),
        Err(PlantError::Length { expected: 3, got: 2 })
    ));
    // Chilling still coolant ends below absolute zero.
    let chilling = Actuation { flow_l_per_min: 0.0, chiller_w: 1e6, ..good };
    assert!(matches!(network.step(&[1.0; 3], &chilling, 20.0, 60.0), Err(PlantError::Temperature(_))));
}

#[test]
fn bad_layouts_are_refused() {
    let cases: [fn(&mut NetworkLayout); 17] = [
        |l| l.cells.clear(),
        |l| l.cells[1].surface_j_per_k = 0.0,
        |l| l.neighbours[0].b = 3,
        |l| l.neighbours[0].b = l.neighbours[0].a,
        |l| l.neighbours[0].w_per_k = -1.0,
        |l| l.plates[0].j_per_k = 0.0,
        |l| l.plates[0].to_ambient_w_per_k = f64::NAN,
        |l| l.contacts[0].plate = 9,
        |l| l.contacts[0].w_per_k = 1e9,
        |l| l.channels[0].visits.clear(),
        |l| l.channels[0].visits[0] = 7,
        |l| l.channels[0].share = 0.0,
        |l| l.channels[0].blocked = 1.1,
        |l| l.channels[0].w_per_k = f64::INFINITY,
        |l| l.coolant.tank_l = 0.0,
        |l| l.coolant.flow_exponent = 2.0,
        |l| l.films[0].cells.clear(),
    ];
    for (k, spoil) in cases.iter().enumerate() {
        let mut layout = row(3);
        spoil(&mut layout);
        assert!(ThermalNetwork::new(layout, 25.0).is_err(), "case {k}");
    }
    assert!(ThermalNetwork::new(row(3), -300.0).is_err());
    let network = ThermalNetwork::new(row(3), 25.0).unwrap();
    assert!(network.clone().with_cells_c(&[25.0; 2]).is_err());
    assert!(network.clone().with_cells_c(&[25.0, 25.0, f64::NAN]).is_err());
    assert!(network.clone().set_blocked(1, 0.5).is_err() && network.clone().set_blocked(0, -0.5).is_err());
}

prop_compose! {
    /// Any network of up to 12 cells and 6 plate segments, regular in parts, with up to three channels.
    fn layouts()(cells in 1_usize..12, plates in 1_usize..6)(
        nodes in prop::collection::vec((20.0..2000.0_f64, 1.0..200.0_f64, 0.1..50.0_f64, 0.0..5.0_f64), cells),
        chain in 0.0..10.0_f64,
        links in prop::collection::vec((0..cells, 0..cells, 0.0..20.0_f64), 0..8),
        segments in prop::collection::vec((10.0..500.0_f64, 0.0..2.0_f64), plates),
        contacts in prop::collection::vec((0..cells, 0..plates, 0.0..20.0_f64), 0..20),
        channels in prop::collection::vec(
            (prop::collection::vec(0..plates, 1..8), 0.0..100.0_f64, 0.1..3.0_f64, 0.0..1.0_f64), 0..3),
        coolant in (0.001..0.2_f64, 0.01..5.0_f64, 1.0..20.0_f64, 0.0..1.0_f64, 0.0..1.0_f64, 0.0..5.0_f64),
        film in prop::collection::vec(0..cells, 1..5),
    ) -> NetworkLayout {
        let (channel_l, tank_l, nominal_flow_l_per_min, flow_exponent, still_share, tank_to_ambient_w_per_k) = coolant;
        NetworkLayout {
            cells: nodes.iter().map(|&(core_j_per_k, surface_j_per_k, core_surface_w_per_k, surface_ambient_w_per_k)| {
                CellNode { core_j_per_k, surface_j_per_k, core_surface_w_per_k, surface_ambient_w_per_k }
            }).collect(),
            neighbours: (1..nodes.len()).map(|k| Neighbour { a: k, b: k - 1, w_per_k: chain })
                .chain(links.into_iter().filter(|l| l.0 != l.1).map(|(a, b, w_per_k)| Neighbour { a, b, w_per_k }))
                .collect(),
            plates: segments.into_iter()
                .map(|(j_per_k, to_ambient_w_per_k)| PlateSegment { j_per_k, to_ambient_w_per_k }).collect(),
            contacts: contacts.into_iter()
                .map(|(cell, plate, w_per_k)| Contact { cell, plate, w_per_k }).collect(),
            channels: channels.into_iter()
                .map(|(visits, w_per_k, share, blocked)| Channel { visits, w_per_k, share, blocked }).collect(),
            coolant: Coolant {
                j_per_l_k: 3500.0, channel_l, tank_l, nominal_flow_l_per_min, flow_exponent, still_share,
                tank_to_ambient_w_per_k,
            },
            films: vec![Film { cells: film, max_w: 100.0 }],
        }
    }
}

prop_compose! {
    fn phases()(
        flow in prop_oneof![Just(0.0), 0.0..60.0_f64],
        reverse in any::<bool>(),
        chiller in 0.0..300.0_f64,
        heater in 0.0..300.0_f64,
        radiator in prop_oneof![Just(0.0), 0.0..500.0_f64],
        film in 0.0..200.0_f64,
        heat in -5.0..100.0_f64,
        ambient in -40.0..50.0_f64,
        dt in prop_oneof![0.01..3.0_f64, 3.0..400.0_f64],
    ) -> (f64, bool, [f64; 5], f64, f64) {
        (flow, reverse, [chiller, heater, radiator, film, heat], ambient, dt)
    }
}

proptest! {
    #[test]
    fn energy_balances_in_any_network(layout in layouts(), phases in prop::collection::vec(phases(), 1..12)) {
        let n = layout.cells.len();
        let mut network = ThermalNetwork::new(layout, 20.0).unwrap();
        for (flow, reverse, [chiller, heater, radiator, film, heat], ambient, dt) in phases {
            let film_w = [film];
            // No more than half a kelvin of the tank per step, so that nothing ends below absolute zero.
            let tank = network.layout().coolant.tank_l * 3500.0 * 0.5 / dt;
            let actuation = Actuation {
                flow_l_per_min: flow, reverse, chiller_w: chiller.min(tank), heater_w: heater.min(tank),
                radiator_w_per_k: radiator, film_w: &film_w,
            };
            let heat_w: Vec<f64> = (0..n).map(|k| heat * (k as f64 + 1.0) / 1000.0).collect();
            match network.step(&heat_w, &actuation, ambient, dt) {
                Ok(()) => {}
                // Insulated cells may get as hot as that.
                Err(PlantError::Temperature(t)) if t > 1000.0 => return Ok(()),
                Err(error) => panic!("{error}"),
            }
            let energy = network.energy();
            prop_assert!(energy.imbalance_j().abs() < 1e-9 * energy.throughput_j + 1e-5, "{energy:?}");
        }
    }

    #[test]
    fn without_heat_no_node_leaves_the_range_of_the_others(
        layout in layouts(),
        phases in prop::collection::vec(phases(), 1..12),
        start in prop::collection::vec(-30.0..60.0_f64, 12),
    ) {
        let n = layout.cells.len();
        let mut network = ThermalNetwork::new(layout, 15.0).unwrap().with_cells_c(&start[..n]).unwrap();
        let mut range = start[..n].iter().fold([15.0_f64, 15.0], |[low, high], &t| [low.min(t), high.max(t)]);
        for (flow, reverse, [_, _, radiator, _, _], ambient, dt) in phases {
            range = [range[0].min(ambient), range[1].max(ambient)];
            let actuation = Actuation {
                flow_l_per_min: flow, reverse, radiator_w_per_k: radiator, ..Actuation::off(&[0.0])
            };
            network.step(&vec![0.0; n], &actuation, ambient, dt).unwrap();
            let mut now = [f64::MAX, f64::MIN];
            let nodes = network.core_c().iter().chain(network.surface_c()).chain(network.plate_c());
            for &t in nodes.chain(network.coolant_c()).chain(&[network.inlet_c(), network.outlet_c()]) {
                now = [now[0].min(t), now[1].max(t)];
            }
            prop_assert!(now[0] >= range[0] - 1e-9 && now[1] <= range[1] + 1e-9, "{now:?} {range:?}");
            range = [now[0].min(ambient), now[1].max(ambient)];
        }
    }
}
