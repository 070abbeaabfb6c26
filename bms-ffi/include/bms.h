/* The C interface of bms-core. Written by cbindgen from bms-ffi/src; do not edit.
 *
 * Compile with -DBMS_CELLS=... -DBMS_SENSORS=... -DBMS_MODULES=... if the library was built for other sizes than these. */

#ifndef BMS_H
#define BMS_H

#include <stddef.h>
#include <stdint.h>
#ifndef BMS_CELLS
#define BMS_CELLS 16
#endif
#ifndef BMS_SENSORS
#define BMS_SENSORS 6
#endif
#ifndef BMS_MODULES
#define BMS_MODULES 2
#endif

/* What the header was compiled for: bms_init compares it with the library. */
#define BMS_BUILD (((uint32_t)BMS_CELLS << 20) | ((uint32_t)BMS_SENSORS << 8) | (uint32_t)BMS_MODULES)


// Room in bytes that a BMS needs at most; [`bms_memory_size`] tells exactly.
#define BMS_MEMORY_SIZE (((16384 + (512 * BMS_CELLS)) + (256 * BMS_SENSORS)) + (64 * BMS_MODULES))

// Alignment in bytes of its memory.
#define BMS_MEMORY_ALIGN 8

// Room in bytes of one slot for the state at most; [`bms_record_size`] tells exactly.
#define BMS_RECORD_SIZE ((1024 + (192 * BMS_CELLS)) + (16 * BMS_SENSORS))

// What a function says.
typedef enum bms_status_t {
  // It did what was asked.
  BMS_OK = 0,
  // A pointer is null.
  BMS_NULL = 1,
  // The memory is too small or not aligned.
  BMS_MEMORY = 2,
  // The memory does not hold a BMS: `bms_init` has not succeeded with it.
  BMS_NOT_INITIALISED = 3,
  // The header was compiled for other sizes than the library.
  BMS_OTHER_BUILD = 4,
  // The parameters do not begin with their mark, are of another version or cut off.
  BMS_NOT_PARAMETERS = 5,
  // The parameters are damaged: wrong check sum.
  BMS_DAMAGED_PARAMETERS = 6,
  // The parameters are for a pack with other numbers of cells, sensors or modules.
  BMS_OTHER_PACK = 7,
  // A parameter is none that the quantity can have.
  BMS_BAD_PARAMETER = 8,
  // There is no such cell, sensor or diagnosis.
  BMS_NO_SUCH = 9,
  // The state cannot be saved, or what was read back is not what was written.
  BMS_STORE = 10,
} bms_status_t;

// What is asked of the pack.
typedef enum bms_wish_t {
  // Go to sleep.
  BMS_WISH_SLEEP = 0,
  // Contactors open, awake.
  BMS_WISH_STANDBY = 1,
  // Power out and in, as the load wants.
  BMS_WISH_DRIVE = 2,
  // A slow charge.
  BMS_WISH_CHARGE = 3,
  // A fast charge.
  BMS_WISH_FAST_CHARGE = 4,
  // Warm the cells.
  BMS_WISH_PREHEAT = 5,
  // Balance the cells.
  BMS_WISH_BALANCE = 6,
} bms_wish_t;

// A battery management system in memory of the caller; what is inside is nobody's business.
typedef struct bms_t bms_t;

// One partner in communication, as heard since the previous step.
typedef struct bms_heard_t {
  // Not 0 if something arrived.
  uint8_t fresh;
  // Its rolling counter, 0..15.
  uint8_t counter;
  // Not 0 if its check sum was right.
  uint8_t sound;
} bms_heard_t;

// Everything that is known at a step. Currents are positive on discharge. A number that is not there is NaN.
typedef struct bms_input_t {
  // Terminal voltage of every cell in V.
  float cell_voltage_v[BMS_CELLS];
  // Not 0 where the front end found a sense wire open.
  uint8_t wire_open[BMS_CELLS];
  // Every temperature sensor on a cell in degC.
  float sensor_c[BMS_SENSORS];
  // Pack current in A, taken with the voltages.
  float current_a;
  // Mean pack current since the previous step in A, where the front end integrates.
  float mean_current_a;
  // A second, independent current sensor in A.
  float second_current_a;
  // Voltage of all cells together in V.
  float pack_voltage_v;
  // Voltage between fuse and plus contactor in V.
  float fused_voltage_v;
  // Voltage of the DC link in V.
  float link_voltage_v;
  // The lower of the two insulation resistances in ohm.
  float insulation_ohm;
  // Coolant that enters the pack in degC.
  float inlet_c;
  // Coolant that leaves the pack in degC.
  float outlet_c;
  // Ambient air in degC.
  float ambient_c;
  // Balancing board in degC.
  float board_c;
  // Coolant flow in L/min.
  float flow_l_per_min;
  // Electric power that the heaters take in W.
  float heater_w;
  // Electric power of every module's film in W.
  float film_w[BMS_MODULES];
  // Not 0 if the coolant flows in reverse.
  uint8_t reverse;
  // Not 0 if the interlock is closed.
  uint8_t interlock_closed;
  // Auxiliary contacts of plus, minus and precharge contactor: 0 open, 1 closed, 2 not there.
  uint8_t contactor_closed[3];
  // Front end of the cells.
  struct bms_heard_t front_end;
  // Current sensor.
  struct bms_heard_t current_sensor;
  // Insulation monitor.
  struct bms_heard_t insulation_monitor;
  // Vehicle, or whatever the pack serves.
  struct bms_heard_t vehicle;
  // Charger.
  struct bms_heard_t charger;
  // Not 0 if a charger is plugged in.
  uint8_t charger_connected;
  // What the charger says it gives in A.
  float charger_current_a;
  // The most it can give in A.
  float charger_max_a;
  // Its highest voltage in V; 0 if not known.
  float charger_max_v;
  // Power from outside for heaters in W; 0 if nothing is plugged in.
  float external_w;
  // What is asked for: a `bms_wish_t`.
  uint8_t wish;
  // Where a charge stops (fraction).
  float target_soc;
  // Where preheating stops in degC.
  float target_c;
  // Time that is left for preheating in s; 0 for as fast as possible.
  float time_left_s;
  // Not 0 to keep cells warm after preheating.
  uint8_t hold_warm;
  // Not 0 if somebody has taken note of the faults.
  uint8_t acknowledge;
  // A workshop's key; 0 for none.
  uint32_t service_key;
} bms_input_t;

// What to do until the next step, and what is known.
typedef struct bms_output_t {
  // 1 to close the plus, minus and precharge contactor.
  uint8_t contactor[3];
  // Operating state: its number in `docs/states.md`.
  uint8_t mode;
  // Worst level of all faults: 0 none, 1 information, 2 warning, 3 fatal.
  uint8_t level;
  // 1 in a thermal event: warn everybody.
  uint8_t alarm;
  // What limits discharge and charge: numbers in `docs/states.md`.
  uint8_t limited_by[2];
  // Largest discharge current in A and power in W to be drawn.
  float discharge_a;
  // See `discharge_a`.
  float discharge_w;
  // Largest charge current in A and power in W to be fed, both positive.
  float charge_a;
  // See `charge_a`.
  float charge_w;
  // State of charge of the pack and its standard deviation (fractions).
  float soc;
  // See `soc`.
  float soc_std;
  // State of charge of the emptiest and of the fullest cell (fractions).
  float cell_soc[2];
  // Estimated core temperature: coldest, mean, hottest, in degC.
  float core_c[3];
  // Current in A and pack voltage in V to ask a charger for.
  float request_a;
  // See `request_a`.
  float request_v;
  // Amplitude in A of the half waves of discharge and of charge, and frequency in Hz, of heating pulses; 0 for none.
  float pulse_discharge_a;
  // See `pulse_discharge_a`.
  float pulse_charge_a;
  // See `pulse_discharge_a`.
  float pulse_hz;
  // Flow of coolant in L/min, and whether in reverse.
  float flow_l_per_min;
  // Heat that the chiller takes in W.
  float chiller_w;
  // Heat of the coolant heater in W.
  float heater_w;
  // Power of every module's film in W.
  float film_w[BMS_MODULES];
  // See `flow_l_per_min`.
  uint8_t reverse;
  // Balancing of every cell: 1 gives charge (its resistor or converter is on), 2 takes charge, 0 nothing.
  uint8_t balance[BMS_CELLS];
} bms_output_t;

// What is known of one cell.
typedef struct bms_cell_t {
  // State of charge and its standard deviation (fractions).
  float soc;
  // See `soc`.
  float soc_std;
  // Capacity in Ah and its standard deviation.
  float capacity_ah;
  // See `capacity_ah`.
  float capacity_std_ah;
  // Resistance against that of a new cell.
  float resistance;
  // Core temperature in degC.
  float core_c;
} bms_cell_t;

// A fault that was detected and has not ended.
typedef struct bms_detection_t {
  // Its number in `docs/safety/diagnoses.md`.
  uint8_t id;
  // 1 information, 2 warning, 3 fatal.
  uint8_t level;
  // Cell, sensor or part that it is about; 65535 if there is only one.
  uint16_t place;
  // What was read, and the limit that it did not keep.
  float value;
  // See `value`.
  float limit;
  // When, in ms of the clock that counts the steps; it wraps.
  uint32_t time_ms;
} bms_detection_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Version of the library, as `MAJOR.MINOR.PATCH`.
const char *bms_version(void);

// Bytes that a BMS needs.
size_t bms_memory_size(void);

// Bytes of one slot for the state.
size_t bms_record_size(void);

// What the library was built for, to be compared with the header's `BMS_BUILD`.
uint32_t bms_build(void);

// Makes a BMS.
//
// `memory` (`size` bytes, aligned to `BMS_MEMORY_ALIGN`) must stay where it is and be touched by nobody else as long as
// `*bms` is used. `parameters` are `words` words as `bms export` writes them; they must stay, too, and may lie in flash.
// `build` is `BMS_BUILD`. The mean state of charge is known as `soc` (fraction) with the standard deviation `soc_std`, where
// no state is restored.
//
// # Safety
// The pointers are null, or point to as much memory as is said, which is not used by anybody else meanwhile.
enum bms_status_t bms_init(void *memory,
                           size_t size,
                           const uint32_t *parameters,
                           size_t words,
                           uint32_t build,
                           float soc,
                           float soc_std,
                           struct bms_t **bms);

// One step, `dt_ms` milliseconds after the one before; ten times a second or more often. Every number in `input` may be
// anything. `output` is written in any case.
//
// # Safety
// `bms` is null or from [`bms_init`]; the others are null or point to their structures.
enum bms_status_t bms_step(struct bms_t *bms,
                           const struct bms_input_t *input,
                           uint16_t dt_ms,
                           struct bms_output_t *output);

// So many seconds went by without a step (sleep).
//
// # Safety
// `bms` is null or from [`bms_init`].
enum bms_status_t bms_slept(struct bms_t *bms, float seconds);

// What is known of one cell, counted from 0.
//
// # Safety
// `bms` is null or from [`bms_init`]; `cell` is null or points to its structure.
enum bms_status_t bms_cell(struct bms_t *bms, size_t number, struct bms_cell_t *cell);

// Writes up to `room` detected faults, in the order of their numbers, and how many there are to `count` (which may be more).
//
// # Safety
// `bms` is null or from [`bms_init`]; `detections` is null or points to `room` structures; `count` is null or points to a
// number.
enum bms_status_t bms_detections(struct bms_t *bms,
                                 struct bms_detection_t *detections,
                                 size_t room,
                                 size_t *count);

// Writes the name of a diagnosis to `name`, ended by 0 and cut to `room` bytes.
//
// # Safety
// `name` is null or points to `room` bytes.
enum bms_status_t bms_diagnosis_name(uint8_t id, char *name, size_t room);

// How many diagnoses there are.
size_t bms_diagnoses(void);

// Goes on from the newer sound record of two slots; with none the BMS stays as it is, says so as a diagnosis, and this
// returns `BMS_STORE`. To be called after [`bms_init`], before the first step. A slot may be null where there is none.
//
// # Safety
// `bms` is null or from [`bms_init`]; the slots are null or point to [`bms_record_size`] bytes.
enum bms_status_t bms_restore(struct bms_t *bms,
                              const uint8_t *slot_a,
                              const uint8_t *slot_b);

// Writes what is to be kept to `record` ([`bms_record_size`] bytes), and to `slot` which slot it belongs in (0 or 1). Write it
// there in ascending order, read it back and give that to [`bms_confirm`].
//
// # Safety
// `bms` is null or from [`bms_init`]; `record` is null or points to `size` bytes, `slot` is null or points to a number.
enum bms_status_t bms_save(struct bms_t *bms,
                           uint8_t *record,
                           size_t size,
                           uint8_t *slot);

// Compares what was read back from the slot with what was written. Only then the next save goes to the other slot.
//
// # Safety
// `bms` is null or from [`bms_init`]; `record` is null or points to [`bms_record_size`] bytes.
enum bms_status_t bms_confirm(struct bms_t *bms,
                              const uint8_t *record);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BMS_H */
