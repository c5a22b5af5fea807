/* Constants of the saved form; save.c draws it. Private to model/drift. */
#ifndef MODEL_DRIFT_SAVED_INT_H
#define MODEL_DRIFT_SAVED_INT_H

#define DRIFT_SAVED_VERSION 1u
#define DRIFT_SAVED_TABLE   12  /* least bytes of a table */
#define DRIFT_SAVED_SPREAD  28  /* least bytes of a spread */
#define DRIFT_SAVED_RESULT  202 /* bytes of a result */

#endif
