/* Constants of the saved form; save.c draws it. Private to model/. */
#ifndef MODEL_SAVED_INT_H
#define MODEL_SAVED_INT_H

#define MODEL_SAVED_MAGIC   "FRLMODL1"
#define MODEL_SAVED_VERSION 2u

#endif
