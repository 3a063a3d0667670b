#include "CRE2.h"

#include <re2/re2.h>

#include <memory>
#include <new>

struct cre2_pattern {
    re2::RE2 expression;
    cre2_pattern(const re2::StringPiece &text, const re2::RE2::Options &options) : expression(text, options) {}
};

namespace {
/// Groups of one match without memory from the heap.
constexpr int groups_usual = 32;

bool match_into(
    const cre2_pattern *pattern, const re2::StringPiece &subject, size_t from, re2::RE2::Anchor anchor,
    re2::StringPiece *groups, cre2_range *ranges, int32_t range_count) {
    if (!pattern->expression.Match(subject, from, subject.size(), anchor, groups, range_count)) return false;
    for (int index = 0; index < range_count; index++) {
        const bool took_part = groups[index].data() != nullptr;
        ranges[index].start = took_part ? groups[index].data() - subject.data() : -1;
        ranges[index].count = took_part ? static_cast<ptrdiff_t>(groups[index].size()) : 0;
    }
    return true;
}
}

cre2_pattern *cre2_new(const char *text, size_t count, bool dot_all, int64_t memory_max) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_dot_nl(dot_all);
    options.set_max_mem(memory_max);
    return new (std::nothrow) cre2_pattern(re2::StringPiece(text, count), options);
}

void cre2_delete(cre2_pattern *pattern) { delete pattern; }

const char *cre2_error(const cre2_pattern *pattern) {
    return pattern->expression.ok() ? nullptr : pattern->expression.error().c_str();
}

int32_t cre2_group_count(const cre2_pattern *pattern) {
    return pattern->expression.NumberOfCapturingGroups();
}

int32_t cre2_group_named(const cre2_pattern *pattern, const char *name, size_t count) {
    const auto &names = pattern->expression.NamedCapturingGroups();
    const auto found = names.find(std::string(name, count));
    return found == names.end() ? -1 : found->second;
}

const char *cre2_group_name(const cre2_pattern *pattern, int32_t group) {
    const auto &names = pattern->expression.CapturingGroupNames();
    const auto found = names.find(group);
    return found == names.end() ? nullptr : found->second.c_str();
}

bool cre2_match(
    const cre2_pattern *pattern, const char *text, size_t count, size_t from, int32_t where, cre2_range *ranges,
    int32_t range_count) {
    // A text without an address would give groups without one, which mean something else.
    const re2::StringPiece subject(text == nullptr ? "" : text, count);
    const auto anchor = where == CRE2_WHOLE      ? re2::RE2::ANCHOR_BOTH
                        : where == CRE2_AT_START ? re2::RE2::ANCHOR_START
                                                 : re2::RE2::UNANCHORED;
    // Most want no groups: the usual room would be cleared for nothing.
    if (range_count <= 1) {
        re2::StringPiece match;
        return match_into(pattern, subject, from, anchor, &match, ranges, range_count);
    }
    if (range_count <= groups_usual) {
        re2::StringPiece usual[groups_usual];
        return match_into(pattern, subject, from, anchor, usual, ranges, range_count);
    }
    const auto many = std::make_unique<re2::StringPiece[]>(range_count);
    return match_into(pattern, subject, from, anchor, many.get(), ranges, range_count);
}
