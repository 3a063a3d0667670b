/// Families by name, sorted by its bytes. In short runs, so that a new name among a million moves but a few.
struct FamilyList {
    static let runMax = 512

    /// None is empty.
    private var runs: [[Family]] = []

    var isEmpty: Bool { runs.isEmpty }

    /// The run that holds this name if any does: the last one that does not begin behind it.
    private func run(of name: String) -> Int {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if name.utf8Precedes(runs[middle][0].name) { high = middle } else { low = middle + 1 }
        }
        return max(low - 1, 0)
    }

    /// The first place in a run whose family does not come before this name.
    private func place(of name: String, in run: Int) -> Int {
        var low = 0
        var high = runs[run].count
        while low < high {
            let middle = (low + high) / 2
            if runs[run][middle].name.utf8Precedes(name) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The family of this name.
    subscript(name: String) -> Family? {
        guard !runs.isEmpty else { return nil }
        let run = run(of: name)
        let place = place(of: name, in: run)
        guard place < runs[run].count, runs[run][place].name.utf8.elementsEqual(name.utf8) else { return nil }
        return runs[run][place]
    }

    /// The first family behind this name; the first of all for nil.
    func next(after name: String?) -> Family? {
        guard let name else { return runs.first?.first }
        guard !runs.isEmpty else { return nil }
        let run = run(of: name)
        var place = place(of: name, in: run)
        if place < runs[run].count, runs[run][place].name.utf8.elementsEqual(name.utf8) { place += 1 }
        if place < runs[run].count { return runs[run][place] }
        return run + 1 < runs.count ? runs[run + 1][0] : nil
    }

    /// Adds a family whose name none has.
    mutating func insert(_ family: Family) {
        guard !runs.isEmpty else {
            runs = [[family]]
            return
        }
        let run = run(of: family.name)
        runs[run].insert(family, at: place(of: family.name, in: run))
        if runs[run].count > Self.runMax {
            let tail = Array(runs[run][(Self.runMax / 2)...])
            runs[run].removeSubrange((Self.runMax / 2)...)
            runs.insert(tail, at: run + 1)
        }
    }

    /// Removes a family that is there.
    mutating func remove(_ family: Family) {
        let run = run(of: family.name)
        let place = place(of: family.name, in: run)
        precondition(runs[run][place] === family, "the family is not in the list")
        runs[run].remove(at: place)
        if runs[run].isEmpty { runs.remove(at: run) }
    }
}
