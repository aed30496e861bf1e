/* SPDX-License-Identifier: MIT
 *
 * tables.cpp - for the test: the calls of a table that is written and read, beside those of the default file system, with random sizes.
 *
 *     tables DIRECTORY SEED
 */
#include <rocksdb/convenience.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace
{

using namespace rocksdb;

const IOOptions io;
std::mt19937 random_number;
std::string calls; /* of this round, for the message */

void must(bool is_right, const std::string &what)
{
    if (is_right)
        return;
    std::fprintf(stderr, "%s after%s\n", what.c_str(), calls.c_str());
    std::exit(1);
}

size_t below(size_t bound)
{
    return random_number() % bound;
}

/* One file, by each of the two. */
struct Both {
    std::unique_ptr<FSWritableFile> file[2];

    void must_be_same(const IOStatus &own, const IOStatus &other) const
    {
        must(own.code() == other.code(), "default: " + own.ToString() + ", jdb: " + other.ToString());
        const uint64_t size = file[0]->GetFileSize(io, nullptr);
        const uint64_t other_size = file[1]->GetFileSize(io, nullptr);
        must(size == other_size, "size " + std::to_string(size) + ", jdb: " + std::to_string(other_size));
    }
};

void call(const Both &both, size_t kind)
{
    const size_t size = below(4) == 0 ? below(3000000) : below(70000);
    const std::string data(size, static_cast<char>('a' + below(26)));
    IOStatus status[2];
    calls += " " + std::to_string(kind) + ":" + std::to_string(size);
    for (int i = 0; i < 2; i++) {
        FSWritableFile &file = *both.file[i];
        if (kind < 6)
            status[i] = file.Append(data, io, nullptr);
        else if (kind == 6)
            status[i] = file.Sync(io, nullptr);
        else if (kind == 7)
            status[i] = file.Fsync(io, nullptr);
        else if (kind == 8)
            status[i] = file.Allocate(size, size + 1, io, nullptr);
        else
            status[i] = file.RangeSync(0, size, io, nullptr);
    }
    both.must_be_same(status[0], status[1]);
}

/* As RocksDB does it, as the last call before the close: a shorter file, also where space was allocated behind. */
void truncate(const Both &both)
{
    const uint64_t size = below(both.file[0]->GetFileSize(io, nullptr) + 1);
    calls += " truncate:" + std::to_string(size);
    const IOStatus own = both.file[0]->Truncate(size, io, nullptr);
    both.must_be_same(own, both.file[1]->Truncate(size, io, nullptr));
}

std::string content(FileSystem &fs, const std::string &path)
{
    std::string bytes;
    must(ReadFileToString(&fs, path, &bytes).ok(), "cannot read " + path);
    return bytes;
}

void read_batch(FileSystem &fs, const std::string &path, const std::string &bytes)
{
    std::unique_ptr<FSRandomAccessFile> file;
    must(fs.NewRandomAccessFile(path, FileOptions(), &file, nullptr).ok(), "cannot open " + path);
    std::vector<FSReadRequest> requests(1 + below(150));
    std::vector<std::string> memory(requests.size());
    for (size_t i = 0; i < requests.size(); i++) {
        requests[i].offset = below(bytes.size() + 5000);
        requests[i].len = 1 + below(30000);
        memory[i].resize(requests[i].len);
        requests[i].scratch = memory[i].data();
    }
    must(file->MultiRead(requests.data(), requests.size(), io, nullptr).ok(), "MultiRead");
    for (const FSReadRequest &request : requests) {
        const std::string wanted = request.offset < bytes.size() ? bytes.substr(request.offset, request.len) : "";
        must(request.status.ok() && request.result == Slice(wanted), "a read differs");
    }
}

void round_of(FileSystem *const fs[2], const std::string path[2])
{
    Both both;
    calls.clear();
    for (int i = 0; i < 2; i++)
        must(fs[i]->NewWritableFile(path[i], FileOptions(), &both.file[i], nullptr).ok(), "cannot create " + path[i]);
    for (size_t count = below(25); count > 0; count--)
        call(both, below(10));
    if (below(2) == 0)
        truncate(both);
    const IOStatus own = both.file[0]->Close(io, nullptr);
    both.must_be_same(own, both.file[1]->Close(io, nullptr));
    const std::string bytes = content(*fs[0], path[1]);
    must(content(*fs[0], path[0]) == bytes, "the content differs");
    read_batch(*fs[1], path[1], bytes);
}

} // namespace

int main(int argc, char **argv)
{
    Env *env = nullptr;
    std::shared_ptr<Env> guard;
    char *end = nullptr;
    const unsigned long seed = argc == 3 ? std::strtoul(argv[2], &end, 10) : 0;
    if (argc != 3 || *end != '\0' || !Env::CreateFromUri(ConfigOptions(), "", "jdb://", &env, &guard).ok())
        return 2;
    random_number.seed(static_cast<unsigned>(seed));
    const std::shared_ptr<FileSystem> own = FileSystem::Default();
    FileSystem *const fs[2] = {own.get(), env->GetFileSystem().get()};
    const std::string path[2] = {std::string(argv[1]) + "/own.sst", std::string(argv[1]) + "/jdb.sst"};
    for (int i = 0; i < 40; i++)
        round_of(fs, path);
    return 0;
}
