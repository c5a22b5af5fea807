/* Constants of the saved form; save.c draws it. Private to model/. */
#ifndef MODEL_SAVED_INT_H
#define MODEL_SAVED_INT_H

#define MODEL_SAVED_MAGIC         "FRLMODL1"
#define MODEL_SAVED_VERSION       4u
#define MODEL_SAVED_VERSION_MIN   2u /* has no money by score and no flagged cohorts */
#define MODEL_SAVED_VERSION_DRIFT 4u /* and newer have a part of model/drift */

#endif
