// zlib's public header, plus functions for the macros that Swift cannot see. Imported by Compression only.
#ifndef CZLIB_H
#define CZLIB_H
#include <zlib.h>
#endif
