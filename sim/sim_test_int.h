/* Shared by the tests of sim/: a run whose lines are read back with the JSON parser. */
#ifndef SIM_SIM_TEST_INT_H
#define SIM_SIM_TEST_INT_H

#include "base/test.h"
#include "codec/json.h"
#include "sim/sim_int.h"

struct line {
    char type[12], stage[12], outcome[12], reason[24], host[16], version[16], verdict[16];
    char fallback[12], form[8], source[20], result[12], kind[20], sla[8];
    char event_id[40], supersedes[40], id[33];
    int64_t attempt, start, end, ts, t0, amount, deadline, offset, contested, queue, work;
    double score, threshold, values[SIM_NUMBERS];
    bool null[SIM_NUMBERS];
    int64_t latency_us;
    int64_t emit;
    char label[16];
};

struct sim_world {
    struct mem mem;
    struct arena arena;
    struct sim_config c;
    struct sim_fault faults[8];
    struct sim_run run;
    struct sim *s;
    struct buf text, truth;
    struct json_parser *json;
    struct line *lines;
    size_t n, cap;
};

void sim_world_init(struct sim_world *w, const char *yaml, int64_t duration_s);
void sim_world_fault(struct sim_world *w, const char *spec);
void sim_world_run(struct sim_world *w, bool parse);
void sim_world_done(struct sim_world *w);

#endif
