#include "CLz4.h"
