/* A battery management system in C: closes the contactors of a small pack, discharges it for a quarter of an hour, saves what
 * was learnt, goes on after a power loss, and sees a cell go over its voltage. The pack is a few lines of arithmetic here; on a
 * controller the same calls get the readings of the front end. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bms.h"
#include "parameters.h" /* BMS_PARAMETERS, written by `bms export --c` */

/* Memory of the caller: nothing is allocated. */
static union {
    uint64_t align;
    uint8_t bytes[BMS_MEMORY_SIZE];
} memory;
static uint8_t slot[2][BMS_RECORD_SIZE]; /* two pages of flash */
static uint8_t record[BMS_RECORD_SIZE];

static bms_input_t in;
static bms_output_t out;
static float link_v;

#define CHECK(call)                                                                                                   \
    do {                                                                                                              \
        const bms_status_t status = (call);                                                                           \
        if (status != BMS_OK) {                                                                                       \
            printf("%s: status %d\n", #call, (int)status);                                                            \
            return 1;                                                                                                 \
        }                                                                                                             \
    } while (0)

/* What the electronics of a sound pack read while `current_a` flows (positive on discharge). */
static void read_pack(float soc, float current_a)
{
    static uint8_t count;
    const bms_heard_t heard = {1, (uint8_t)(count++ & 15), 1};
    const float cell_v = 3.2f + 0.15f * soc - 0.0005f * current_a;
    for (int k = 0; k < BMS_CELLS; k++)
        in.cell_voltage_v[k] = cell_v;
    for (int k = 0; k < BMS_SENSORS; k++)
        in.sensor_c[k] = 25.0f;
    in.pack_voltage_v = in.fused_voltage_v = BMS_CELLS * cell_v;
    in.current_a = in.mean_current_a = in.second_current_a = current_a;
    if (out.contactor[1] && (out.contactor[0] || out.contactor[2]))
        link_v += 0.7f * (in.pack_voltage_v - link_v); /* through the precharge resistor */
    in.link_voltage_v = link_v;
    memcpy(in.contactor_closed, out.contactor, sizeof in.contactor_closed);
    in.insulation_ohm = 1e8f;
    in.inlet_c = in.outlet_c = in.ambient_c = in.board_c = 25.0f;
    in.flow_l_per_min = in.heater_w = NAN; /* not measured */
    in.interlock_closed = 1;
    in.front_end = in.current_sensor = in.vehicle = in.charger = in.insulation_monitor = heard;
}

int main(void)
{
    bms_t *bms = NULL;
    printf("bms-core %s, %d cells\n", bms_version(), BMS_CELLS);
    printf("memory: %u of %u bytes\n", (unsigned)bms_memory_size(), (unsigned)sizeof memory);
    CHECK(bms_init(&memory, sizeof memory, BMS_PARAMETERS, sizeof BMS_PARAMETERS / 4, BMS_BUILD, 0.6f, 0.05f, &bms));
    memset(slot, 0xff, sizeof slot);

    float soc = 0.6f;
    in.wish = BMS_WISH_DRIVE;
    for (int step = 0; step < 9000; step++) {
        const int driving = out.contactor[0] && out.contactor[1];
        const float current_a = driving ? 0.2f * out.discharge_a : 0.0f;
        soc -= current_a * 0.1f / 3600.0f / BMS_PARAMETERS_CAPACITY_AH;
        read_pack(soc, current_a);
        CHECK(bms_step(bms, &in, 100, &out));
    }
    printf("after 15 min: mode %u, SOC %.1f %% +- %.1f, up to %.0f A and %.1f kW\n", (unsigned)out.mode, 100.0 * out.soc,
           100.0 * out.soc_std, (double)out.discharge_a, out.discharge_w / 1000.0);
    if (out.mode != 4 || out.level == 3 || !(out.discharge_a > 0.0f))
        return 1;

    /* Save, lose power, go on. */
    uint8_t to = 0;
    CHECK(bms_save(bms, record, sizeof record, &to));
    memcpy(slot[to], record, bms_record_size());
    CHECK(bms_confirm(bms, slot[to]));
    const float before = out.soc;
    memset(&memory, 0xa5, sizeof memory);
    memset(&out, 0, sizeof out);
    link_v = 0.0f;
    CHECK(bms_init(&memory, sizeof memory, BMS_PARAMETERS, sizeof BMS_PARAMETERS / 4, BMS_BUILD, 0.5f, 0.3f, &bms));
    CHECK(bms_restore(bms, slot[0], slot[1]));
    for (int step = 0; step < 100; step++) {
        read_pack(soc, 0.0f);
        CHECK(bms_step(bms, &in, 100, &out));
    }
    printf("after a power loss: SOC %.1f %% (%.1f %% before)\n", 100.0 * out.soc, 100.0 * before);
    if (fabsf(out.soc - before) > 0.03f)
        return 1;

    /* A cell goes over its voltage: contactors are told to open. */
    for (int step = 0; step < 20; step++) {
        read_pack(soc, 0.0f);
        in.cell_voltage_v[1] = 4.5f;
        CHECK(bms_step(bms, &in, 100, &out));
    }
    bms_detection_t found[8];
    size_t count = 0;
    CHECK(bms_detections(bms, found, 8, &count));
    for (size_t k = 0; k < count && k < 8; k++) {
        char name[48];
        CHECK(bms_diagnosis_name(found[k].id, name, sizeof name));
        printf("fault: %s, level %u, place %u, %.3f against %.3f\n", name, (unsigned)found[k].level,
               (unsigned)found[k].place, (double)found[k].value, (double)found[k].limit);
    }
    printf("contactors: %u %u %u\n", (unsigned)out.contactor[0], (unsigned)out.contactor[1], (unsigned)out.contactor[2]);
    return out.contactor[0] || out.contactor[1] || out.level != 3;
}
