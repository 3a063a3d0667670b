// From the entries of a chunk to pushes: grouped by stream, ordered by time, compressed.

internal import NIOCore
internal import OTLP

extension PushEncoder {
    /// The pushes of the chunk's entries, one for each tenant.
    mutating func makePushes() -> [Push] {
        guard let first = places.first else { return [] }
        let stream = Int(first.stream)
        if streams[stream].entries == places.count, isOrdered(0..<places.count, nil) {
            return [makePush(ofStream: stream)]
        }
        let order = orderByStream()
        var pushes: [Push] = []
        for tenant in tenants.indices {
            push.truncate(to: 0)
            var entries = 0
            for index in streams.indices where streams[index].tenant == tenant && streams[index].entries > 0 {
                entries += streams[index].entries
                writeHead(of: streams[index])
                copyEntries(order[index], order)
            }
            guard entries > 0 else { continue }
            pushes.append(
                Push(
                    tenant: tenantName(tenant), body: unsafe compress(push.unsafeBytes), entries: entries))
        }
        return pushes
    }

    private func tenantName(_ index: Int) -> String? {
        tenants[index].isEmpty ? nil : String(decoding: tenants[index], as: UTF8.self)
    }

    /// The push of a chunk of one stream whose entries lie in order: only the head is missing before them.
    private mutating func makePush(ofStream index: Int) -> Push {
        push.truncate(to: 0)
        writeHead(of: streams[index])
        if push.count <= Self.headRoom {
            let start = Self.headRoom - push.count
            unsafe arena.overwrite(at: start, push.unsafeBytes)
            let body = unsafe compress(UnsafeRawBufferPointer(rebasing: arena.unsafeBytes[start...]))
            return Push(tenant: tenantName(streams[index].tenant), body: body, entries: places.count)
        }
        push.append(arena, Self.headRoom..<arena.count)
        return Push(
            tenant: tenantName(streams[index].tenant), body: unsafe compress(push.unsafeBytes),
            entries: places.count)
    }

    /// Begins a stream in the push: what precedes its entries.
    private mutating func writeHead(of stream: Stream) {
        let labelBytes = 1 + ByteDraft.varintBytes(stream.labels.count) + stream.labels.count
        push.append(0x0A)
        push.appendLength(labelBytes + stream.bytes)
        push.append(0x0A)
        push.appendLength(stream.labels.count)
        push.append(stream.labels)
    }

    private mutating func copyEntries(_ range: Range<Int>, _ order: StreamOrder) {
        var index = range.lowerBound
        while index < range.upperBound {
            let place = places[Int(order.indices[index])]
            let start = Int(place.start)
            var end = start + Int(place.count)
            index += 1
            // Entries that lie one behind the other are copied at once.
            while index < range.upperBound, Int(places[Int(order.indices[index])].start) == end {
                end += Int(places[Int(order.indices[index])].count)
                index += 1
            }
            push.append(arena, start..<end)
        }
    }

    // MARK: - Order

    /// The entries, by their index in `places`, grouped by stream and in order of time within one.
    struct StreamOrder {
        var indices: ContiguousArray<UInt32>
        var starts: ContiguousArray<Int>

        /// The entries of a stream.
        subscript(stream: Int) -> Range<Int> { starts[stream]..<starts[stream + 1] }
    }

    private func orderByStream() -> StreamOrder {
        var starts = ContiguousArray(repeating: 0, count: streams.count + 1)
        for index in streams.indices { starts[index + 1] = starts[index] + streams[index].entries }
        var next = starts
        var indices = ContiguousArray<UInt32>(repeating: 0, count: places.count)
        for index in places.indices {
            let stream = Int(places[index].stream)
            indices[next[stream]] = UInt32(index)
            next[stream] += 1
        }
        for stream in streams.indices {
            let range = starts[stream]..<starts[stream + 1]
            if isOrdered(range, indices) { continue }
            // Entries of the same time stay in the order in which they came.
            indices[range].sort { left, right in
                (places[Int(left)].time, left) < (places[Int(right)].time, right)
            }
        }
        return StreamOrder(indices: indices, starts: starts)
    }

    private func isOrdered(_ range: Range<Int>, _ indices: ContiguousArray<UInt32>?) -> Bool {
        var latest: UInt64 = 0
        for index in range {
            let time = places[indices.map { Int($0[index]) } ?? index].time
            if time < latest { return false }
            latest = time
        }
        return true
    }
}
