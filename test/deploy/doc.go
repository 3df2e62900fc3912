// Package deploy holds that the program is delivered as the documents say: with as few
// rights as the unit and the container file promise, built alike twice, and with every
// part of it and its licence named. It sees the program as a file and as a process.
package deploy
