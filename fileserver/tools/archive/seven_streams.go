package archive

// Ids of the parts of a 7z archive's header.
const (
	sevenEnd = iota
	sevenMain
	sevenProperties
	sevenMore
	sevenStreamsInfo
	sevenFilesInfo
	sevenPackInfo
	sevenUnpackInfo
	sevenSubstreams
	sevenSize
	sevenCRC
	sevenFolders
	sevenUnpackSizes
	sevenCounts
	sevenEmptyStream
	sevenEmptyFile
	sevenAnti
	sevenNames
	_ // when it was made
	_ // when it was read
	sevenModified
	sevenAttributes
	_ // a comment
	sevenEncoded
)

// A sevenCoder is one step of the decompression of a folder.
type sevenCoder struct {
	method     string
	properties []byte
}

// A sevenFolder is a stream that was compressed as one, of one file or many.
type sevenFolder struct {
	coders  []sevenCoder
	inputs  int         // packed streams
	chain   []int       // the coders in the order of decompression, nil where they are more than a chain
	final   int         // whose output is that of the folder
	sizes   []uint64    // of the coders' outputs
	packed  [][2]uint64 // where its packed streams begin, and their sizes
	sum     *uint32
	streams []sevenStream
}

func (f *sevenFolder) size() uint64 {
	if f.final < len(f.sizes) {
		return f.sizes[f.final]
	}
	return 0
}

// A sevenStream is the content of one file.
type sevenStream struct {
	size uint64
	sum  *uint32
}

// streams reads where what was packed is, and how.
func (h *sevenHeader) streams() []sevenFolder {
	var (
		position uint64
		sizes    []uint64
		folders  []sevenFolder
	)
	for {
		switch h.number() {
		case sevenPackInfo:
			position, sizes = h.packed()
		case sevenUnpackInfo:
			folders = h.folders()
		case sevenSubstreams:
			h.substreams(folders)
			continue
		case sevenEnd:
			h.place(folders, position, sizes)
			return folders
		default:
			h.fail()
			return nil
		}
		for i := range folders { // unless substreams follow
			folders[i].streams = []sevenStream{{size: folders[i].size(), sum: folders[i].sum}}
		}
	}
}

// packed reads the sizes of what was packed.
func (h *sevenHeader) packed() (position uint64, sizes []uint64) {
	position = h.number()
	count := h.count()
	for {
		switch h.number() {
		case sevenSize:
			sizes = h.numbers(count)
		case sevenCRC:
			h.sums(count)
		case sevenEnd:
			return position, sizes
		default:
			h.fail()
			return 0, nil
		}
	}
}

// place gives each folder its packed streams.
func (h *sevenHeader) place(folders []sevenFolder, position uint64, sizes []uint64) {
	for i := range folders {
		f := &folders[i]
		if f.inputs > len(sizes) {
			h.fail()
			return
		}
		for _, size := range sizes[:f.inputs] {
			f.packed = append(f.packed, [2]uint64{position, size})
			position += size
		}
		sizes = sizes[f.inputs:]
	}
}

// folders reads how each stream is decompressed.
func (h *sevenHeader) folders() []sevenFolder {
	if h.number() != sevenFolders {
		h.fail()
		return nil
	}
	folders := make([]sevenFolder, h.few(maxFolders))
	if h.byte() != 0 { // they are elsewhere, which nobody writes
		h.fail()
	}
	for i := range folders {
		h.folder(&folders[i])
	}
	for {
		switch h.number() {
		case sevenUnpackSizes:
			for i := range folders {
				folders[i].sizes = h.numbers(len(folders[i].sizes))
			}
		case sevenCRC:
			for i, sum := range h.sums(len(folders)) {
				folders[i].sum = sum
			}
		case sevenEnd:
			return folders
		default:
			h.fail()
			return nil
		}
	}
}

const (
	// maxCoders bounds the steps of a decompression; the program that made the format takes as many.
	maxCoders = 32
	// maxFolders bounds the streams: most archives have one or a few.
	maxFolders = 100_000
)

// folder reads the coders of a folder, and which output is which input.
func (h *sevenHeader) folder(f *sevenFolder) {
	inputs, outputs := 0, 0
	for range h.few(maxCoders) {
		kind := h.byte()
		coder, in, out := sevenCoder{method: string(h.bytes(uint64(kind & 0xf)))}, 1, 1
		if kind&0x10 != 0 {
			in, out = h.few(maxCoders), h.few(maxCoders)
		}
		if kind&0x20 != 0 {
			coder.properties = h.bytes(h.number())
		}
		f.coders = append(f.coders, coder)
		inputs, outputs = inputs+in, outputs+out
	}
	if outputs == 0 || inputs < outputs {
		h.fail()
		return
	}
	from := map[int]int{} // an input is the output
	for range outputs - 1 {
		in, out := h.few(inputs), h.few(outputs)
		from[in] = out
	}
	f.inputs, f.sizes = inputs-(outputs-1), make([]uint64, outputs)
	if f.inputs > 1 {
		h.numbers(f.inputs)
	}
	f.arrange(from, inputs == outputs && outputs == len(f.coders))
}

// arrange finds the order of the coders. Where they are a chain, each has one input and one output of its
// own number.
func (f *sevenFolder) arrange(from map[int]int, chain bool) {
	used := map[int]bool{}
	for _, out := range from {
		used[out] = true
	}
	for used[f.final] {
		f.final++
	}
	if !chain {
		return
	}
	at, more := f.final, true
	for more && len(f.chain) < len(f.coders) {
		f.chain = append([]int{at}, f.chain...)
		at, more = from[at]
	}
	if more || len(f.chain) != len(f.coders) {
		f.chain = nil
	}
}

// few reads a small number.
func (h *sevenHeader) few(most int) int {
	n := h.number()
	if n > uint64(most) {
		h.fail()
		return 0
	}
	return int(n)
}

// substreams reads how folders are divided into files.
func (h *sevenHeader) substreams(folders []sevenFolder) {
	id := h.number()
	if id == sevenCounts {
		total := 0
		for i := range folders {
			count := h.count()
			if total += count; total > len(folders)+len(h.rest) { // each but one of a folder has a size
				h.fail()
				return
			}
			folders[i].streams = make([]sevenStream, count)
		}
		id = h.number()
	}
	for i := range folders {
		left := folders[i].size()
		for j := range folders[i].streams {
			stream := &folders[i].streams[j]
			switch last := j == len(folders[i].streams)-1; {
			case last:
				stream.size = left
			case id == sevenSize:
				stream.size = h.number()
			default:
				h.fail()
			}
			if stream.size > left {
				h.fail()
				return
			}
			left -= stream.size
		}
	}
	if id == sevenSize {
		id = h.number()
	}
	for ; id == sevenCRC; id = h.number() {
		h.substreamSums(folders)
	}
	if id != sevenEnd {
		h.fail()
	}
}

// substreamSums reads the sums of the streams whose sum is not that of a folder.
func (h *sevenHeader) substreamSums(folders []sevenFolder) {
	var unknown []*sevenStream
	for i := range folders {
		for j := range folders[i].streams {
			stream := &folders[i].streams[j]
			if len(folders[i].streams) == 1 && folders[i].sum != nil {
				stream.sum = folders[i].sum
				continue
			}
			unknown = append(unknown, stream)
		}
	}
	for i, sum := range h.sums(len(unknown)) {
		unknown[i].sum = sum
	}
}
