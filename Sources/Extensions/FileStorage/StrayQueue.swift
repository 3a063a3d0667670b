/// A queue on disk that no exporter of this process sends.
package struct StrayQueue: Sendable, Equatable {
    package let folder: String
    /// What waits in it.
    package let batches: Int
    package let items: Int

    /// Looks for them in an extension's directory. Changes nothing; blocks. Those that another gateway uses, or that cannot
    /// be read, are none of ours.
    package static func find(in directory: String, except used: Set<String>) -> [StrayQueue] {
        let names = (try? Folder.names(directory)) ?? []
        return names.filter { $0.hasPrefix("exporter_") || $0.hasPrefix("processor_") }.sorted().compactMap {
            name in
            let folder = directory + "/" + name
            guard !used.contains(folder) else { return nil }
            return try? look(folder)
        }
    }

    private static func look(_ folder: String) throws(StorageFault) -> StrayQueue? {
        guard try !FolderLock.isHeld(folder) else { return nil }
        var done: Set<UInt64> = []
        var items: [UInt64: Int] = [:]
        for name in try Folder.names(folder) {
            guard name.hasSuffix(".segment"), let sequence = UInt64(name.dropLast(".segment".count)) else {
                continue
            }
            let scan = try SegmentScan(SegmentFile.open(existing: folder + "/" + name, sequence: sequence))
            done.formUnion(scan.done)
            for batch in scan.batches { items[batch.header.id] = batch.header.items }
        }
        let waiting = items.filter { !done.contains($0.key) }
        guard !waiting.isEmpty else { return nil }
        return StrayQueue(folder: folder, batches: waiting.count, items: waiting.values.reduce(0, +))
    }
}
