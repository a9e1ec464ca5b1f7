/* The Maglev table of the paper, as one writes it down first. Prints the nanoseconds of each build.
   Arguments: slots (a prime), hosts, builds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t fnv(const char *text, uint64_t hash) {
    for (; *text; text++) hash = (hash ^ (uint8_t)*text) * 1099511628211u;
    return hash ^ hash >> 29;
}

static void build(int *table, long slots, long hosts) {
    long *offset = malloc(hosts * sizeof *offset), *skip = malloc(hosts * sizeof *skip);
    long *next = calloc(hosts, sizeof *next), filled = 0;
    for (long host = 0; host < hosts; host++) {
        char name[32];
        snprintf(name, sizeof name, "10.0.%ld.%ld:12200", host >> 8, host & 255);
        offset[host] = (long)(fnv(name, 14695981039346656037u) % slots);
        skip[host] = (long)(fnv(name, 1) % (slots - 1)) + 1;
    }
    for (long slot = 0; slot < slots; slot++) table[slot] = -1;
    while (filled < slots)
        for (long host = 0; host < hosts && filled < slots; host++) {
            long slot;
            do slot = (offset[host] + skip[host] * next[host]++) % slots;
            while (table[slot] >= 0);
            table[slot] = (int)host;
            filled++;
        }
    free(offset), free(skip), free(next);
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    long slots = atol(arguments[1]), hosts = atol(arguments[2]), builds = atol(arguments[3]);
    int *table = malloc(slots * sizeof *table);
    for (long i = 0; i < builds; i++) {
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        build(table, slots, hosts);
        clock_gettime(CLOCK_MONOTONIC, &to);
        printf("%ld\n", (to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec - from.tv_nsec);
        if (table[slots / 2] < 0) return 1;
    }
    free(table);
    return 0;
}
