package upstream

import "time"

// meter counts queries by whole seconds: a value without a clock.
type meter struct {
	second        int64 // of the Unix time
	now, complete int   // counts of that second and of the one before
}

func (m *meter) count(now time.Time) {
	m.turn(now)
	m.now++
}

// lastSecond returns the count of the last second that is over.
func (m *meter) lastSecond(now time.Time) int {
	m.turn(now)
	return m.complete
}

func (m *meter) turn(now time.Time) {
	switch passed := now.Unix() - m.second; passed {
	case -1, 0:
		return // goroutines read the clock at different times
	case 1:
		m.complete, m.now = m.now, 0
	default:
		m.complete, m.now = 0, 0 // a pause, or somebody has set the clock
	}
	m.second = now.Unix()
}
