//! Counters of the last steps of time, the oldest overwritten.

/// Good and bad requests of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    pub(crate) good: u64,
    pub(crate) bad: u64,
}

impl Cell {
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self { good: self.good.saturating_add(other.good), bad: self.bad.saturating_add(other.bad) }
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.good == 0 && self.bad == 0
    }
}

/// The last so many steps. A step is a number that counts from 1970.
#[derive(Debug, Clone)]
pub(crate) struct Ring {
    cells: Box<[Cell]>,
    /// The newest step that was counted.
    newest: u64,
}

impl Ring {
    pub(crate) fn new(steps: usize) -> Self {
        Self { cells: vec![Cell::default(); steps.max(1)].into(), newest: 0 }
    }

    /// Adds to a step. What comes for a step before the newest is of the newest: a clock jumped back.
    pub(crate) fn add(&mut self, step: u64, cell: Cell) {
        self.reach(step);
        self.put(self.newest, cell);
    }

    /// Adds to an old step that still has a cell; `false` when it has none any more.
    pub(crate) fn restore(&mut self, step: u64, cell: Cell) -> bool {
        self.reach(step);
        let kept = self.newest - step < self.cells.len() as u64;
        if kept {
            self.put(step, cell);
        }
        kept
    }

    /// Makes a step the newest, if it is newer; what lies between is empty.
    fn reach(&mut self, step: u64) {
        if step <= self.newest {
            return;
        }
        let passed = (step - self.newest).min(self.cells.len() as u64);
        for back in 0..passed {
            if let Some(cell) = self.cell(step - back) {
                *cell = Cell::default();
            }
        }
        self.newest = step;
    }

    fn put(&mut self, step: u64, cell: Cell) {
        if let Some(place) = self.cell(step) {
            *place = place.plus(cell);
        }
    }

    fn cell(&mut self, step: u64) -> Option<&mut Cell> {
        let place = usize::try_from(step % self.cells.len() as u64).ok()?;
        self.cells.get_mut(place)
    }

    /// The sum of the `steps` that end with `now`, as far as they are kept.
    pub(crate) fn sum(&self, now: u64, steps: u64) -> Cell {
        let first = now.saturating_sub(steps.saturating_sub(1));
        self.each()
            .filter(|(step, _)| (first..=now.max(self.newest)).contains(step))
            .map(|(_, cell)| cell)
            .fold(Cell::default(), Cell::plus)
    }

    /// All that is not empty, newest first.
    pub(crate) fn each(&self) -> impl Iterator<Item = (u64, Cell)> + '_ {
        let length = self.cells.len() as u64;
        let steps = (0..length).map_while(|back| self.newest.checked_sub(back));
        let cell = move |step: u64| self.cells.get(usize::try_from(step % length).ok()?).copied();
        steps.filter_map(move |step| cell(step).filter(|cell| !cell.is_empty()).map(|cell| (step, cell)))
    }
}
