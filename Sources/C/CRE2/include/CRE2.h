// RE2 behind functions of C. Imported by RegularExpression only.
#ifndef CRE2_H
#define CRE2_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A compiled pattern. Any thread may match with it.
typedef struct cre2_pattern cre2_pattern;

/// Compiles UTF-8 text. The result is the caller's, to be given to `cre2_delete`, also when it is no valid pattern:
/// `cre2_error` says so. NULL when there is no memory.
/// `dot_all`: `.` matches line feeds, too. `memory_max`: bytes of the program and its caches.
cre2_pattern *_Nullable cre2_new(const char *_Nullable text, size_t count, bool dot_all, int64_t memory_max);

/// Frees a pattern.
void cre2_delete(cre2_pattern *_Nullable pattern);

/// Why the text is no pattern; NULL when it is one. Lives as long as the pattern.
const char *_Nullable cre2_error(const cre2_pattern *_Nonnull pattern);

/// The number of groups in parentheses, 0 at least.
int32_t cre2_group_count(const cre2_pattern *_Nonnull pattern);

/// The number of the group of a name; -1 when there is none.
int32_t cre2_group_named(const cre2_pattern *_Nonnull pattern, const char *_Nonnull name, size_t count);

/// The name of a group, from 1 to the number of groups; NULL when it has none. Lives as long as the pattern.
const char *_Nullable cre2_group_name(const cre2_pattern *_Nonnull pattern, int32_t group);

/// A part of a text; `start` is -1 for a group that took no part in the match.
typedef struct cre2_range {
    ptrdiff_t start;
    ptrdiff_t count;
} cre2_range;

/// Where a match must stand.
enum {
    CRE2_ANYWHERE = 0,
    CRE2_AT_START = 1, // at `from`
    CRE2_WHOLE = 2,    // from `from` to the end of the text
};

/// Matches from `from` on, linear in the text.
/// - anchor: CRE2_ANYWHERE, …
/// Fills `ranges[0]` with the match and the others with the groups, as many as `range_count`; at most 32 are filled.
bool cre2_match(
    const cre2_pattern *_Nonnull pattern, const char *_Nullable text, size_t count, size_t from, int32_t anchor,
    cre2_range *_Nullable ranges, int32_t range_count);

#ifdef __cplusplus
}
#endif
#endif
