package inflate

import (
	"strconv"
	"strings"
)

// TarBlock is the size of a header in a tar archive, in bytes.
const TarBlock = 512

// IsTar tells whether a block is a header of a tar archive, by its sum. A shorter one is none.
func IsTar(block []byte) bool {
	if len(block) < TarBlock {
		return false
	}
	sum := int64(0)
	for i, c := range block[:TarBlock] {
		if 148 <= i && i < 156 {
			c = ' '
		}
		sum += int64(c)
	}
	said, err := strconv.ParseInt(strings.Trim(string(block[148:156]), " \x00"), 8, 64)
	return err == nil && said == sum
}
