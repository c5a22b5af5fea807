/* The simulated disk below base/simos.h: a tree of nodes with, for each, what a reader sees now and
 * what survives a loss of power. Private to base. lock: the caller holds simos.mu. */
#ifndef BASE_SIMOS_INT_H
#define BASE_SIMOS_INT_H

#include "base/base.h"
#include "base/rng.h"

#define SIMOS_NAME_BYTES_MAX 256

struct simos_entry {
    char *name;              /* owns */
    struct simos_node *node; /* shares */
};

/* Entries in byte order of their names. */
struct simos_view {
    struct simos_entry *v;
    size_t n, cap;
};

enum simos_dirop_kind { SIMOS_LINK, SIMOS_UNLINK, SIMOS_RENAME };

/* A change of a folder that is not durable yet. */
struct simos_dirop {
    enum simos_dirop_kind kind;
    char *name;              /* owns */
    char *to;                /* owns; of SIMOS_RENAME */
    struct simos_node *node; /* shares; of SIMOS_LINK */
};

struct simos_bytes {
    unsigned char *p;
    size_t n, cap;
};

struct simos_node {
    struct simos_node *prev, *next; /* all nodes of the disk, in order of creation */
    uint32_t refs;
    bool dir;
    int lock_fd; /* descriptor that holds the advisory lock, -1 = none */

    /* A file: outside dirty_from..dirty_to both contents are the same. */
    struct simos_bytes now, synced;
    size_t dirty_from, dirty_to;

    /* A folder: `seen` = `durable` with all of `pending` done. */
    struct simos_view seen, durable;
    struct simos_dirop *pending;
    size_t pending_n, pending_cap;
};

struct simos_disk {
    struct simos_node *first, *last;
    struct simos_node *root;
    uint64_t bytes;     /* contents of all files */
    uint64_t bytes_max; /* 0 = none */
};

struct simos_place {
    struct simos_node *parent; /* NULL for the root itself */
    char name[SIMOS_NAME_BYTES_MAX];
    struct simos_node *node; /* NULL when there is no such entry */
};

void *simos_take(size_t bytes); /* zeroed; aborts without memory */

void simos_disk_init(struct simos_disk *d);
void simos_disk_release(struct simos_disk *d);
void simos_disk_crash(struct simos_disk *d, struct rng *rng);

struct simos_node *simos_node_new(struct simos_disk *d, bool dir); /* one reference, the caller's */
void simos_node_unref(struct simos_disk *d, struct simos_node *node);

/* 0, ENOENT or ENOTDIR when a folder on the way is missing, ENAMETOOLONG, EINVAL for "..". */
int simos_walk(const struct simos_disk *d, const char *path, struct simos_place *out);

/* Changes of folders: seen at once, durable after simos_dir_sync. */
void simos_dir_link(struct simos_disk *d, struct simos_node *dir, const char *name,
                    struct simos_node *node);
void simos_dir_unlink(struct simos_disk *d, struct simos_node *dir, const char *name);
int simos_dir_rename(struct simos_disk *d, const struct simos_place *from,
                     const struct simos_place *to);
void simos_dir_sync(struct simos_disk *d, struct simos_node *dir);

/* Contents of files. Writes as much as the disk holds and returns that. */
size_t simos_file_write(struct simos_disk *d, struct simos_node *file, size_t off, const void *p,
                        size_t n);
int simos_file_truncate(struct simos_disk *d, struct simos_node *file, size_t bytes);
void simos_file_sync(struct simos_node *file);

#endif
