package logreport

import "time"

// scanDigits reads at most limit digits.
func scanDigits(line []byte, at, limit int) (number int64, end int) {
	for end = at; end < len(line) && end-at < limit; end++ {
		digit := line[end] - '0'
		if digit > 9 {
			break
		}
		number = number*10 + int64(digit)
	}
	return number, end
}

// maxDigits keeps integers small enough to be multiplied by a million.
const maxDigits = 9

// scanInteger reads an integer that is not negative and has no exponent. What
// follows the digits is for the caller to look at: a tenth digit is no comma.
func scanInteger(line []byte, at int) (number int64, end int) {
	number, end = scanDigits(line, at, maxDigits)
	if end == at || line[at] == '0' && end > at+1 {
		return 0, -1
	}
	return number, end
}

const fractionDigits = 6

// scanSeconds reads seconds with at most six digits after the point, as
// microseconds.
func scanSeconds(line []byte, at int) (microseconds int64, end int) {
	seconds, end := scanInteger(line, at)
	if end < 0 {
		return 0, -1
	}
	microseconds = seconds * 1_000_000
	if end >= len(line) || line[end] != '.' {
		return microseconds, end
	}
	start := end + 1
	fraction, end := scanDigits(line, start, fractionDigits)
	if end == start {
		return 0, -1
	}
	for range fractionDigits - (end - start) {
		fraction *= 10
	}
	return microseconds + fraction, end
}

// timeLayout is how the log writes a time, between quotes.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// scanTime reads a time that is written as the log writes it.
func scanTime(line []byte, at int, r *record) int {
	text, end := scanText(line, at)
	if end < 0 || !hasTimeForm(text) {
		return -1
	}
	part := func(from, to int) int {
		number, _ := scanDigits(text, from, to-from)
		return int(number)
	}
	year, month, day := part(0, 4), part(5, 7), part(8, 10)
	hour, minute, second := part(11, 13), part(14, 16), part(17, 19)
	if !isDate(year, month, day) || hour > 23 || minute > 59 || second > 59 {
		return -1
	}
	r.time = (daysSince1970(year, month, day)*86400+int64(hour*3600+minute*60+second))*1_000_000 + int64(part(20, 26))
	r.hasTime = true
	return end
}

// hasTimeForm reports whether there are digits where there must be, and what
// stands between them.
func hasTimeForm(text []byte) bool {
	if len(text) != len(timeLayout) {
		return false
	}
	for place, expected := range []byte(timeLayout) {
		isDigit := expected >= '0' && expected <= '9'
		if isDigit && text[place]-'0' > 9 || !isDigit && text[place] != expected {
			return false
		}
	}
	return true
}

func isDate(year, month, day int) bool {
	return month >= 1 && month <= 12 && day >= 1 && (day <= 28 || day <= daysIn(year, month))
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// daysSince1970 counts in years that begin in March, so that the leap day is
// the last; five months are 153 days.
func daysSince1970(year, month, day int) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	days := 365*year + floorDivide(year, 4) - floorDivide(year, 100) + floorDivide(year, 400)
	return int64(days + (153*(month-3)+2)/5 + day - 719469)
}

// floorDivide rounds down, also for the year before the year 0.
func floorDivide(number, divisor int) int {
	if number < 0 {
		return (number - divisor + 1) / divisor
	}
	return number / divisor
}
