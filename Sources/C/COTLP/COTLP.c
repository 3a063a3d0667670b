#include "COTLP.h"
