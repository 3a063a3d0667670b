// lz4's public headers for its frame format and for single blocks. Imported by Compression only.
#ifndef CLZ4_H
#define CLZ4_H
#include <lz4.h>
#include <lz4frame.h>
#endif
