import Configuration
import MemoryLimiter
import Testing

@Suite("Keys of memory_limiter")
struct MemoryLimiterConfigTests {
    private func read(_ yaml: String) -> (MemoryLimiterConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = MemoryLimiterConfig(ConfigSection(yaml: yaml, path: "ml", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    @Test(
        "limits are where the Collector puts them",
        arguments: [
            ("limit_mib: 500", 500, 400),
            ("limit_mib: 500, spike_limit_mib: 50", 500, 450),
            ("limit_percentage: 50", 500, 400),
            ("limit_percentage: 50, spike_limit_percentage: 20", 500, 300),
            ("limit_percentage: 100, limit_mib: 10", 10, 8),
        ] as [(String, Int, Int)])
    func limits(yaml: String, hard: Int, soft: Int) {
        let (config, problems) = read("{check_interval: 1s, \(yaml)}")
        #expect(problems.isEmpty)
        #expect(config.checkInterval == .seconds(1))
        let limits = config.limits(totalMemory: 1000 << 20)
        #expect(limits.hard >> 20 == hard && limits.soft >> 20 == soft)
    }

    @Test("keys about garbage collection are accepted, there is none")
    func garbageCollection() {
        let (_, problems) = read(
            """
            check_interval: 1s
            limit_mib: 1
            min_gc_interval_when_soft_limited: 10s
            min_gc_interval_when_hard_limited: 0s
            max_gc_interval_when_soft_limited: 30s
            max_gc_interval_when_hard_limited: 30s
            """)
        #expect(problems.isEmpty)
    }

    @Test(
        "a limiter that could not limit is refused",
        arguments: [
            (
                "",
                [
                    "ml: 'check_interval' must be greater than zero",
                    "ml: 'limit_mib' or 'limit_percentage' must be greater than zero",
                ]
            ),
            (
                "{check_interval: 0s, limit_mib: 1}",
                ["ml::check_interval: 'check_interval' must be greater than zero"]
            ),
            (
                "{check_interval: 1, limit_mib: 1}",
                ["ml::check_interval: expected a duration, found the number 1"]
            ),
            (
                "{check_interval: 1s, limit_mib: 5, spike_limit_mib: 5}",
                ["ml::spike_limit_mib: 'spike_limit_mib' must be smaller than 'limit_mib', found 5 and 5"]
            ),
            (
                "{check_interval: 1s, limit_percentage: 5, spike_limit_percentage: 6}",
                [
                    "ml::spike_limit_percentage: 'spike_limit_percentage' must be smaller than 'limit_percentage', found 6 and 5"
                ]
            ),
            (
                "{check_interval: 1s, limit_percentage: 101}",
                ["ml::limit_percentage: must be between 0 and 100, found 101"]
            ),
        ])
    func broken(yaml: String, messages: [String]) {
        #expect(read(yaml).1 == messages)
    }

    @Test(
        "percentages count against what the process may really use",
        arguments: [
            ([:], nil, nil),
            (["/proc/meminfo": "MemTotal:  2048 kB\nMemFree: 1 kB\n"], 2048 * 1024, .host),
            (
                [
                    "/proc/meminfo": "MemTotal: 2048 kB\n", "/proc/self/cgroup": "0::/a/b\n",
                    "/sys/fs/cgroup/a/b/memory.max": "max\n", "/sys/fs/cgroup/a/memory.max": "1000\n",
                ], 1000, .cgroupV2
            ),
            (
                [
                    "/proc/meminfo": "MemTotal: 2048 kB\n", "/proc/self/cgroup": "0::/\n",
                    "/sys/fs/cgroup/memory.max": "5000\n",
                ], 5000, .cgroupV2
            ),
            (
                [
                    "/proc/meminfo": "MemTotal: 2048 kB\n",
                    "/proc/self/cgroup": "4:cpu:/x\n3:hugetlb,memory:/docker/c\n",
                    "/sys/fs/cgroup/memory/docker/c/memory.limit_in_bytes": "7000\n",
                    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                ], 7000, .cgroupV1
            ),
            (
                [
                    "/proc/meminfo": "MemTotal: 2 kB\n", "/proc/self/cgroup": "0::/a\n",
                    "/sys/fs/cgroup/a/memory.max": "999999999\n",
                ], 2048, .host
            ),
        ] as [([String: String], Int?, TotalMemory.Source?)])
    func totalMemory(files: [String: String], bytes: Int?, source: TotalMemory.Source?) {
        let found = TotalMemory.find { files[$0] }
        #expect(found?.bytes == bytes && found?.source == source)
    }

    @Test("this machine's memory is found")
    func thisMachine() throws {
        #expect(try #require(TotalMemory.find()).bytes > 1 << 20)
    }
}
