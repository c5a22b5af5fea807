/* A simulated machine for tests and the simulator: files in memory, a clock that only moves when
 * told, seeded randomness, and faults.
 *
 * Crash model: bytes written but not datasync'ed, and creations, renames and unlinks whose folder
 * was not dirsync'ed, are at simos_crash each kept or lost at random (unsynced bytes also torn in
 * 512-byte sectors); what was synced stays. Source: the crash states of Pillai et al., "All File
 * Systems Are Not Created Equal", OSDI 2014. thread: locks itself. */
#ifndef BASE_SIMOS_H
#define BASE_SIMOS_H

#include "base/os.h"

enum simos_fault { SIMOS_OK, SIMOS_FAIL /* EIO */, SIMOS_FULL /* ENOSPC */, SIMOS_SHORT };

struct simos;

struct simos *simos_new(uint64_t seed); /* aborts without memory: it is a test tool */
void simos_free(struct simos *s);
/* Borrows s. */
const struct os *simos_os(struct simos *s);

void simos_clock_set(struct simos *s, int64_t now_ns);
void simos_clock_add(struct simos *s, int64_t ns); /* wall and monotonic */

/* Operation number `at` (1 = the next file operation: open, read, pread, write, datasync, truncate,
 * rename, unlink, mkdir, dirsync, list) gets the fault; SHORT means half the bytes for reads and
 * writes, FAIL for the rest; FULL strikes only what takes space (open with OS_CREATE, write,
 * datasync, rename, mkdir). 0 = none. */
void simos_fault_at(struct simos *s, uint64_t at, enum simos_fault fault);
/* Every operation from `at` on fails (a dead or full disk). */
void simos_fault_from(struct simos *s, uint64_t at, enum simos_fault fault);
uint64_t simos_ops(const struct simos *s); /* file operations so far */

/* Power is lost now: open descriptors die, unsynced state is kept or lost as above. */
void simos_crash(struct simos *s);
void simos_disk_bytes_max(struct simos *s, uint64_t bytes); /* ENOSPC above it; 0 = none */
/* Flips one bit of a stored file (disk damage). false when there is no such byte. */
bool simos_flip(struct simos *s, const char *path, uint64_t byte, unsigned bit);

#endif
