//! No step of the thermal network, its devices and the balancing hardware allocates.

use allocation_counter::measure;
use cell_models::balancing::{
    ActiveBalancer, ActiveParameters, BleedParameters, BleedResistors, SwitchedCapacitorParameters,
    SwitchedCapacitors, Transfer,
};
use cell_models::network::{
    CellNode, Channel, Chiller, Contact, Coolant, DeviceCommand, DeviceParameters, Devices, Film,
    FilmHeaters, Neighbour, NetworkLayout, PlateSegment, PtcHeater, Pump, Radiator, ThermalNetwork,
};

fn layout() -> NetworkLayout {
    NetworkLayout {
        cells: vec![CellNode::prism(0.03, 0.15, 0.1, 2e6, 0.8, 1.0); 20],
        neighbours: (1..20).map(|b| Neighbour { a: b - 1, b, w_per_k: 3.0 }).collect(),
        plates: vec![PlateSegment { j_per_k: 150.0, to_ambient_w_per_k: 0.1 }; 10],
        contacts: (0..20).map(|cell| Contact { cell, plate: cell / 2, w_per_k: 4.0 }).collect(),
        channels: vec![Channel {
            visits: (0..10).chain((0..10).rev()).collect(),
            w_per_k: 20.0,
            share: 1.0,
            blocked: 0.0,
        }],
        coolant: Coolant {
            j_per_l_k: 3500.0,
            channel_l: 0.02,
            tank_l: 2.0,
            nominal_flow_l_per_min: 10.0,
            flow_exponent: 0.8,
            still_share: 0.05,
            tank_to_ambient_w_per_k: 1.0,
        },
        films: vec![Film { cells: (0..20).collect(), max_w: 200.0 }],
    }
}

#[test]
fn no_step_allocates() {
    let mut network = ThermalNetwork::new(layout(), 20.0).unwrap();
    let parameters = DeviceParameters {
        pump: Some(Pump { max_flow_l_per_min: 10.0, max_w: 80.0, idle_w: 4.0, rate_l_per_min_s: 2.0 }),
        chiller: Some(Chiller {
            max_w: 3000.0,
            carnot_share: 0.4,
            approach_k: 10.0,
            max_cop: 5.0,
            min_coolant_c: 10.0,
            lag_s: 20.0,
        }),
        heater: Some(PtcHeater { max_w: 3000.0, full_up_to_c: 40.0, zero_from_c: 60.0, efficiency: 0.95 }),
        films: Some(FilmHeaters { tolerance: vec![1.1], cut_out_c: 45.0, release_c: 35.0 }),
        radiator: Some(Radiator { w_per_k: 200.0, fan_w: 100.0 }),
    };
    let mut devices = Devices::new(parameters, network.layout()).unwrap();
    let parameters = BleedParameters {
        resistor_ohm: 20.0,
        groups_per_board: 12,
        max_channels: 6,
        board_j_per_k: 60.0,
        board_to_ambient_w_per_k: 0.2,
        cut_out_c: 50.0,
        release_c: 45.0,
    };
    let mut bleed = BleedResistors::new(parameters, 20, 20.0).unwrap();
    let parameters = ActiveParameters { current_a: 2.0, efficiency: 0.9, max_channels: 3, control_w: 0.1 };
    let mut active = ActiveBalancer::new(parameters, 20).unwrap();
    let parameters = SwitchedCapacitorParameters { capacitance_f: 1e-3, frequency_hz: 1e4, loop_ohm: 0.02 };
    let mut switched = SwitchedCapacitors::new(parameters, 20).unwrap();

    let mut way = [Transfer::Off; 20];
    way[3] = Transfer::ToPack;
    let mut voltage_v = [3.7; 20];
    voltage_v[5] = 3.8;
    let heat_w = [5.0; 20];
    let film_w = [100.0];
    let counted = measure(|| {
        for k in 0..500_u32 {
            let command = DeviceCommand {
                flow_l_per_min: f64::from(k % 11),
                reverse: (k / 50) % 2 == 1,
                chiller_w: f64::from(k % 7) * 500.0,
                heater_w: f64::from(k % 5) * 500.0,
                radiator: (k / 20) % 2 == 1,
                film_w: &film_w,
            };
            let dt_s = [1.0, 0.1, 30.0][k as usize % 3];
            devices.apply(&command, &network, 10.0, dt_s).unwrap();
            network.step(&heat_w, &devices.actuation(), 10.0, dt_s).unwrap();
            assert!(network.energy().throughput_j > 0.0);
            network.set_blocked(0, f64::from(k % 2)).unwrap();
            bleed.step(&[true; 20], &voltage_v, 20.0, dt_s).unwrap();
            active.step(&way, &voltage_v, dt_s).unwrap();
            switched.step(true, &voltage_v, dt_s).unwrap();
        }
    });
    assert_eq!(counted.count_total, 0);
}
