#![allow(missing_docs)]
use cell_models::Plant;
use cell_models::physics::*;
fn main(){
    let mut p=sets::oregan2022(); p.ageing=None;
    let t:f64=std::env::args().nth(1).unwrap().parse().unwrap();
    let mut c=SpmeCell::new(p,1.0,t).unwrap();
    println!("cap {}",c.capacity_ah());
    c.set_current(5.0).unwrap();
    for k in 0..36 { println!("{:6} V {:.4} T {:.3} surf {:.4?} mean {:.4?} cmin {:.1}", k*100, c.voltage_v(), c.core_temperature_c(), c.surface_stoichiometry(), c.mean_stoichiometry(), c.electrolyte_concentration().fold(1e9,f64::min)); if c.advance(100.0).is_err(){break} }
}
