// glibc's malloc statistics, which Swift's Glibc module leaves out. Imported by Pipeline only.
#ifndef CMALLOC_H
#define CMALLOC_H
#include <malloc.h>
#endif
