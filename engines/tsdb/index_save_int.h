/* What index_save.c and index_load.c agree on. */
#ifndef ENGINES_TSDB_INDEX_SAVE_INT_H
#define ENGINES_TSDB_INDEX_SAVE_INT_H

#define INDEX_MAGIC        "FARIDX1\n"
#define INDEX_MAGIC_BYTES  8
#define INDEX_HEADER_BYTES 16
#define INDEX_RAW_MAX      ((size_t)1 << 31) /* of the payload: about 100 million series */

#endif
