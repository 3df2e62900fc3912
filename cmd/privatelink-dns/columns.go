package main

import (
	"os"
	"strconv"

	"github.com/privatelink-dns/privatelink-dns/plugin/logreport"
)

// columnsOf is how wide the output may be: as wide as the terminal says, or as
// COLUMNS does, which shells know.
func columnsOf(out any) int {
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && columns > 0 {
		return min(columns, maxColumns)
	}
	if file, isFile := out.(*os.File); isFile {
		if columns := terminalColumns(file); columns > 0 {
			return min(columns, maxColumns)
		}
	}
	return logreport.MinWidth
}

// maxColumns is where lines become too long to be read.
const maxColumns = 140

// Sentences are broken at 120 columns at most, where the eye still finds the next line,
// and at 40 at least.
const (
	maxPageWidth = 120
	minPageWidth = 40
)

// pageWidthOf is how wide sentences may be.
func pageWidthOf(out any) int { return max(min(columnsOf(out), maxPageWidth), minPageWidth) }
