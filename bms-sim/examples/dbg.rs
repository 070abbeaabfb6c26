//! x
use bms_sim::verify::sets; use bms_sim::identify::identify; use bms_sim::replay::*; use bms_sim::reference;use bms_sim::metrics; use std::path::Path;
fn main(){
 let a:Vec<String>=std::env::args().skip(1).collect();
 let plan=sets::plan(Path::new(&a[0]),&[],Some(&a[1])).unwrap();
 for (k,src) in plan.cells.iter().enumerate(){
  let Ok(cell)=src.plan().and_then(|p|identify(&p)) else {println!("no {}",src.label);continue};
  for d in plan.drives.iter().filter(|d|d.cell==k){
   let mut run=d.set.runs(&d.file).unwrap().into_iter().next().unwrap();
   let amb=d.file.ambient_c.unwrap_or(25.0); run.temperature_c.get_or_insert_with(||vec![amb;run.time_s.len()]);
   let present=d.present_capacity_ah.or_else(||reference::dated_ah(&d.set,&d.file));
   let cap=present.unwrap_or(cell.cell.capacity_ah);
   let full=reference::full_to_empty_ah(&d.set,&d.file).unwrap().unwrap_or(cap);
   let soc=reference::of_run(&run,reference::start_soc(&d.file),full).soc;
   let r=replay(&cell,&run,&ReplayOptions{initial_soc:Some(soc[0]),capacity_ah:Some(cap),baselines:false,..Default::default()}).unwrap();
   let s=metrics::score(&run.time_s,&r.soc,&soc,Some(&r.soc_std),600.0).unwrap();
   let n=r.soc.len(); let q=|v:&Vec<f64>| (1..8).map(|i| format!("{:5.2}",v[i*(n-1)/8])).collect::<Vec<_>>().join(" ");
   let err:Vec<f64>=r.soc.iter().zip(&soc).map(|(a,b)|100.0*(a-b)).collect();
   let e:Vec<f64>=r.model_error_v.iter().map(|v|v*1e3).collect();
   let stds:Vec<f64>=r.soc_std.iter().map(|v|v*1e2).collect();
   println!("{:28} {:22} T{:5.1} max {:5.2} rms {:5.2} cov {:.2} cap {:.3}/{:.3}\n   inst {}\n   res  {}\n   err  {}\n   std  {}\n   e_mV {}\n   soc {}", d.set.name.split('/').last().unwrap(), d.file.file.split('/').last().unwrap(), amb, s.max_points,s.rmse_points,s.coverage.unwrap(),cap,full,q(&r.instant_scale),q(&r.resistance_scale),q(&err),q(&stds),q(&e),q(&soc));
  }
 }
}
