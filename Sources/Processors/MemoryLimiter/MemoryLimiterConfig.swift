package import Configuration

/// The keys of the `memory_limiter` processor.
package struct MemoryLimiterConfig: Sendable, Equatable {
    /// Time between two looks at the resident size. More than 0, no default. Key `check_interval`.
    package var checkInterval: Duration = .zero
    /// Hard limit in MiB; 0 = not set. Wins over the percentage. Key `limit_mib`.
    package var limitMib = 0
    /// How far below the hard limit refusing begins, in MiB; 0 = a fifth of the limit. Key `spike_limit_mib`.
    package var spikeLimitMib = 0
    /// Hard limit in percent (1…100) of the control group's limit, else of the host's memory; 0 = not set. Key
    /// `limit_percentage`.
    package var limitPercentage = 0
    /// How far below the hard limit refusing begins, in percent of the same; 0 = a fifth of the limit. Key
    /// `spike_limit_percentage`.
    package var spikeLimitPercentage = 0

    /// Two limits in bytes.
    package struct Limits: Sendable, Equatable {
        /// Above this everything possible is given back.
        package let hard: Int
        /// From here on data is refused.
        package let soft: Int

        package init(hard: Int, soft: Int) {
            self.hard = hard
            self.soft = soft
        }
    }

    package init() {}

    /// The limits, once the memory is known that percentages count against.
    ///
    /// - Parameter totalMemory: Bytes, as `TotalMemory.find` gives them; not looked at when `limit_mib` is set.
    package func limits(totalMemory: Int) -> Limits {
        var hard = limitMib << 20
        var spike = spikeLimitMib << 20
        if limitMib == 0 {
            // Divided first: a total times 100 may not fit.
            hard = totalMemory / 100 * limitPercentage
            spike = totalMemory / 100 * spikeLimitPercentage
        }
        if spike == 0 { spike = hard / 5 }
        return Limits(hard: hard, soft: max(0, hard - spike))
    }

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        checkInterval = section.duration("check_interval", default: .zero)
        let largest = Int.max >> 20
        limitMib = section.int("limit_mib", default: 0, in: 0...largest)
        spikeLimitMib = section.int("spike_limit_mib", default: 0, in: 0...largest)
        limitPercentage = section.int("limit_percentage", default: 0, in: 0...100)
        spikeLimitPercentage = section.int("spike_limit_percentage", default: 0, in: 0...100)
        for key in [
            "min_gc_interval_when_soft_limited", "min_gc_interval_when_hard_limited",
            "max_gc_interval_when_soft_limited", "max_gc_interval_when_hard_limited",
        ] {
            _ = section.optionalDuration(key)
        }
        section.ignored("ballast_size_mib", "there is no ballast here")
        check(section)
        section.finish()
    }

    private func check(_ section: ConfigSection) {
        if checkInterval == .zero, !section.isBroken("check_interval") {
            section.report(
                section.has("check_interval") ? "check_interval" : nil,
                error: "'check_interval' must be greater than zero", help: "write check_interval: 1s")
        }
        let isBroken = section.isBroken("limit_mib") || section.isBroken("limit_percentage")
        if limitMib == 0, limitPercentage == 0, !isBroken {
            section.report(
                nil, error: "'limit_mib' or 'limit_percentage' must be greater than zero",
                help: "write limit_mib: 512, or limit_percentage: 75")
        }
        if limitMib > 0, spikeLimitMib >= limitMib {
            section.report(
                "spike_limit_mib",
                error:
                    "'spike_limit_mib' must be smaller than 'limit_mib', found \(spikeLimitMib) and \(limitMib)",
                help: "leave it out for a fifth of the limit")
        }
        if limitMib == 0, limitPercentage > 0, spikeLimitPercentage >= limitPercentage {
            section.report(
                "spike_limit_percentage",
                error: "'spike_limit_percentage' must be smaller than 'limit_percentage', "
                    + "found \(spikeLimitPercentage) and \(limitPercentage)",
                help: "leave it out for a fifth of the limit")
        }
    }
}
