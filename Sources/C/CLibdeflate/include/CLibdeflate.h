// libdeflate's public header. Imported by Compression only.
#ifndef CLIBDEFLATE_H
#define CLIBDEFLATE_H
#include <libdeflate.h>
#endif
