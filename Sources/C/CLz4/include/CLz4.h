// lz4's public header for its frame format. Imported by Compression only.
#ifndef CLZ4_H
#define CLZ4_H
#include <lz4frame.h>
#endif
