/* SPDX-License-Identifier: MIT
 *
 * jdb_rocksdb.cpp - a FileSystem of RocksDB that reads and writes table files past the page cache.
 *
 *     LD_PRELOAD=./rocksdb_jdb.so db_bench --fs_uri=jdb:// ...
 *
 * Tables (*.sst) are read by a jdb_file, several blocks at once by the engine of the file system, and written by a jdb_writer behind the
 * compaction. All else (the log, MANIFEST, CURRENT, locks, directories) is the default file system's: the order of syncs that makes
 * them safe is RocksDB's own.
 */
#include <rocksdb/file_system.h>
#include <rocksdb/utilities/object_registry.h>

#include <jdb_alloc.h>
#include <jdb_alloc/uring.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace
{

using namespace rocksdb;

constexpr uint32_t engine_depth = 64;
constexpr uint64_t frame_size = 1 << 20;
constexpr uint32_t writer_frames = 6; /* that a writer is ahead of the device */
constexpr uint32_t kept_frames = 8;   /* whose memory stays when no table is written */
constexpr uint32_t max_frames = 4096;
constexpr size_t compaction_readahead = 2 << 20;

/* As the default file system maps errno. */
IOStatus status_of(int err, const std::string &path, const char *call, const char *text = "")
{
    if (err == 0)
        return IOStatus::OK();
    const std::string message = std::string(call) + " " + path + (text[0] != '\0' ? std::string(": ") + text : "");
    if (err == -ENOENT)
        return IOStatus::PathNotFound(message, std::strerror(-err));
    if (err != -ENOSPC)
        return IOStatus::IOError(message, std::strerror(-err));
    IOStatus status = IOStatus::NoSpace(message, std::strerror(-err));
    status.SetRetryable(true);
    return status;
}

/* ---- Memory and requests in flight, shared by all files ---------------------------------------------------------- */

class Streams
{
  public:
    Streams() = default;
    Streams(const Streams &) = delete;
    Streams &operator=(const Streams &) = delete;

    ~Streams()
    {
        (void)jdb_engine_close(engine_);
        (void)jdb_pool_free(pool_);
        (void)jdb_arena_free(arena_);
    }

    int open()
    {
        jdb_engine_options engine_options = JDB_ENGINE_OPTIONS_INIT;
        engine_options.depth = engine_depth;
        int err = jdb_uring_engine_open(&engine_options, &engine_);
        if (err != 0)
            return err;
        jdb_arena_options arena_options = JDB_ARENA_OPTIONS_INIT;
        arena_options.frame_size = frame_size;
        arena_options.frame_count = kept_frames;
        arena_options.max_frame_count = max_frames;
        arena_options.name = "rocksdb";
        err = jdb_arena_new(&arena_options, &arena_);
        if (err != 0)
            return err;
        jdb_pool_options pool_options = JDB_POOL_OPTIONS_INIT;
        pool_options.grow_frames = writer_frames;
        return jdb_pool_new(arena_, &pool_options, &pool_);
    }

    jdb_engine *engine() const
    {
        return engine_;
    }

    jdb_pool *pool() const
    {
        return pool_;
    }

    int open_writer(jdb_file *file, uint64_t offset, jdb_writer **writer) const
    {
        jdb_stream_options stream_options = JDB_STREAM_OPTIONS_INIT;
        stream_options.offset = static_cast<int64_t>(offset);
        stream_options.frame_size = frame_size;
        stream_options.frame_count = writer_frames;
        stream_options.engine = engine_;
        stream_options.pool = pool_;
        return jdb_writer_open(file, &stream_options, writer);
    }

  private:
    jdb_engine *engine_ = nullptr;
    jdb_arena *arena_ = nullptr;
    jdb_pool *pool_ = nullptr;
};

/* ---- Tables that are read ---------------------------------------------------------------------------------------- */

class TableReader final : public FSRandomAccessFile
{
  public:
    TableReader(std::string path, jdb_file *file, const jdb_direct &limits, std::shared_ptr<Streams> streams)
        : path_(std::move(path)), file_(file), align_(std::max(limits.memory_align, limits.read_align)),
          streams_(std::move(streams))
    {
    }

    TableReader(const TableReader &) = delete;
    TableReader &operator=(const TableReader &) = delete;

    ~TableReader() override
    {
        (void)jdb_file_close(file_);
    }

    IOStatus Read(uint64_t offset, size_t n, const IOOptions &, Slice *result, char *scratch,
                  IODebugContext *) const override
    {
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        jdb_raw view = view_of(scratch, n);
        const int err = n != 0 ? jdb_file_read_full(file_, &view, static_cast<int64_t>(offset), &report) : 0;
        *result = Slice(scratch, err == 0 ? view.len : 0);
        return status_of(err, path_, "read", report.text);
    }

    /* All at once. A request that the engine does not begin is read here. */
    IOStatus MultiRead(FSReadRequest *requests, size_t count, const IOOptions &options, IODebugContext *dbg) override
    {
        std::vector<jdb_engine_io> ios(count, JDB_ENGINE_IO_INIT);
        std::vector<bool> is_started(count);
        for (size_t i = 0; i < count; i++) {
            ios[i].file = file_;
            ios[i].view = view_of(requests[i].scratch, requests[i].len);
            ios[i].offset = static_cast<int64_t>(requests[i].offset);
            is_started[i] = count > 1 && jdb_engine_start(streams_->engine(), &ios[i]) == 0;
        }
        for (size_t i = 0; i < count; i++) {
            FSReadRequest &request = requests[i];
            if (!is_started[i]) {
                request.status = Read(request.offset, request.len, options, &request.result, request.scratch, dbg);
                continue;
            }
            (void)jdb_engine_wait(streams_->engine(), &ios[i]);
            request.result = Slice(request.scratch, ios[i].err == 0 ? ios[i].view.len : 0);
            request.status = status_of(ios[i].err, path_, "read");
        }
        return IOStatus::OK();
    }

    /* RocksDB aligns requests then, in memory of its own, and nothing is copied. Others are served too. */
    bool use_direct_io() const override
    {
        return jdb_file_read_mode(file_) <= JDB_FILE_MODE_UNKNOWN;
    }

    size_t GetRequiredBufferAlignment() const override
    {
        return align_;
    }

    IOStatus InvalidateCache(size_t, size_t) override
    {
        return IOStatus::OK(); /* nothing is cached */
    }

  private:
    static jdb_raw view_of(char *scratch, size_t size)
    {
        return jdb_raw_from_raw_parts(reinterpret_cast<uint8_t *>(scratch), 0, size);
    }

    const std::string path_;
    jdb_file *const file_;
    const size_t align_;
    const std::shared_ptr<Streams> streams_;
};

/* ---- Tables that are written ------------------------------------------------------------------------------------- */

class TableWriter final : public FSWritableFile
{
  public:
    TableWriter(std::string path, const FileOptions &options, jdb_file *file, jdb_writer *writer,
                std::shared_ptr<Streams> streams)
        : FSWritableFile(options), path_(std::move(path)), file_(file), writer_(writer), streams_(std::move(streams))
    {
    }

    TableWriter(const TableWriter &) = delete;
    TableWriter &operator=(const TableWriter &) = delete;

    ~TableWriter() override
    {
        (void)Close(IOOptions(), nullptr).ok();
    }

    using FSWritableFile::Append;

    IOStatus Append(const Slice &data, const IOOptions &, IODebugContext *) override
    {
        uint8_t *const bytes = reinterpret_cast<uint8_t *>(const_cast<char *>(data.data()));
        return status_of(jdb_writer_append(writer_, jdb_raw_from_raw_parts(bytes, data.size(), data.size()), nullptr),
                         path_, "append to");
    }

    IOStatus Append(const Slice &data, const IOOptions &options, const DataVerificationInfo &,
                    IODebugContext *dbg) override
    {
        return Append(data, options, dbg);
    }

    /* A table is opened by its readers when it was synced and closed: waiting here would end the write-behind. */
    IOStatus Flush(const IOOptions &, IODebugContext *) override
    {
        return IOStatus::OK();
    }

    IOStatus Sync(const IOOptions &, IODebugContext *) override
    {
        return status_of(jdb_writer_sync(writer_), path_, "sync");
    }

    IOStatus Fsync(const IOOptions &options, IODebugContext *dbg) override
    {
        const IOStatus status = Sync(options, dbg);
        return status.ok() ? status_of(jdb_file_sync(file_, JDB_FILE_DURABLE_SYNC), path_, "fsync") : status;
    }

    bool IsSyncThreadSafe() const override
    {
        return true;
    }

    /* Full frames are on their way to the device as soon as they are full. */
    IOStatus RangeSync(uint64_t, uint64_t, const IOOptions &options, IODebugContext *dbg) override
    {
        return strict_bytes_per_sync_ ? Sync(options, dbg) : IOStatus::OK();
    }

    /* What is appended then follows the new end. */
    IOStatus Truncate(uint64_t size, const IOOptions &, IODebugContext *) override
    {
        int err = jdb_writer_close(writer_);
        writer_ = nullptr;
        if (err == 0)
            err = jdb_file_truncate(file_, static_cast<int64_t>(size));
        if (err == 0)
            err = streams_->open_writer(file_, size, &writer_);
        truncate_err_ = err;
        return status_of(err, path_, "truncate");
    }

    IOStatus Allocate(uint64_t offset, uint64_t size, const IOOptions &, IODebugContext *) override
    {
        const int err = jdb_file_preallocate(file_, static_cast<int64_t>(offset), size);
        is_preallocated_ = is_preallocated_ || err == 0;
        return err == -ENOTSUP ? IOStatus::OK() : status_of(err, path_, "allocate");
    }

    uint64_t GetFileSize(const IOOptions &, IODebugContext *) override
    {
        jdb_writer_status status = JDB_WRITER_STATUS_INIT;
        return jdb_writer_get_status(writer_, &status) == 0 ? static_cast<uint64_t>(status.end) : closed_size_;
    }

    IOStatus Close(const IOOptions &, IODebugContext *) override
    {
        if (file_ == nullptr)
            return IOStatus::OK();
        closed_size_ = GetFileSize(IOOptions(), nullptr);
        int err = writer_ != nullptr ? jdb_writer_close(writer_) : truncate_err_;
        if (err == 0 && is_preallocated_) /* what is left of it behind the end */
            err = jdb_file_truncate(file_, static_cast<int64_t>(closed_size_));
        const int close_err = jdb_file_close(file_);
        file_ = nullptr;
        writer_ = nullptr;
        (void)jdb_pool_trim(streams_->pool(), kept_frames, nullptr);
        return status_of(err != 0 ? err : close_err, path_, "close");
    }

    IOStatus InvalidateCache(size_t, size_t) override
    {
        return IOStatus::OK();
    }

  private:
    const std::string path_;
    jdb_file *file_;     /* nullptr: closed */
    jdb_writer *writer_; /* nullptr: closed, or lost by a truncate that failed */
    bool is_preallocated_ = false;
    uint64_t closed_size_ = 0;
    int truncate_err_ = 0;
    const std::shared_ptr<Streams> streams_;
};

/* ---- The file system --------------------------------------------------------------------------------------------- */

bool is_table(const std::string &path)
{
    static const std::string ending = ".sst";
    return path.size() > ending.size() && path.compare(path.size() - ending.size(), ending.size(), ending) == 0;
}

class JdbFileSystem final : public FileSystemWrapper
{
  public:
    explicit JdbFileSystem(std::shared_ptr<Streams> streams)
        : FileSystemWrapper(FileSystem::Default()), streams_(std::move(streams))
    {
    }

    static const char *kClassName()
    {
        return "jdb";
    }

    const char *Name() const override
    {
        return kClassName();
    }

    IOStatus NewRandomAccessFile(const std::string &path, const FileOptions &options,
                                 std::unique_ptr<FSRandomAccessFile> *result, IODebugContext *dbg) override
    {
        if (!is_table(path) || options.use_mmap_reads)
            return FileSystemWrapper::NewRandomAccessFile(path, options, result, dbg);
        jdb_file *file = nullptr;
        jdb_direct limits = JDB_DIRECT_INIT;
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        int err = jdb_file_open(path.c_str(), nullptr, &report, &file);
        if (err == 0)
            err = jdb_file_limits(file, &limits);
        if (err == 0)
            result->reset(new TableReader(path, file, limits, streams_));
        else
            (void)jdb_file_close(file);
        return status_of(err, path, "open", report.text);
    }

    IOStatus NewWritableFile(const std::string &path, const FileOptions &options,
                             std::unique_ptr<FSWritableFile> *result, IODebugContext *dbg) override
    {
        if (!is_table(path) || options.use_mmap_writes)
            return FileSystemWrapper::NewWritableFile(path, options, result, dbg);
        jdb_file *file = nullptr;
        jdb_writer *writer = nullptr;
        jdb_file_options file_options = JDB_FILE_OPTIONS_INIT;
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        file_options.access = JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_TRUNCATE;
        file_options.permissions = 0644;
        int err = jdb_file_open(path.c_str(), &file_options, &report, &file);
        if (err == 0)
            err = streams_->open_writer(file, 0, &writer);
        if (err == 0)
            result->reset(new TableWriter(path, options, file, writer, streams_));
        else
            (void)jdb_file_close(file);
        return status_of(err, path, "create", report.text);
    }

    /* A scan without the readahead of the page cache needs one of RocksDB's. */
    FileOptions OptimizeForCompactionTableRead(const FileOptions &options,
                                               const ImmutableDBOptions &db_options) const override
    {
        FileOptions optimized = FileSystemWrapper::OptimizeForCompactionTableRead(options, db_options);
        optimized.compaction_readahead_size = std::max(optimized.compaction_readahead_size, compaction_readahead);
        return optimized;
    }

  private:
    const std::shared_ptr<Streams> streams_;
};

FileSystem *new_file_system(const std::string &, std::unique_ptr<FileSystem> *guard, std::string *message)
{
    auto streams = std::make_shared<Streams>();
    const int err = streams->open();
    if (err != 0)
        *message = std::string("jdb: ") + std::strerror(-err);
    else
        guard->reset(new JdbFileSystem(std::move(streams)));
    return guard->get();
}

/* Runs when the library is loaded, after the constructors of librocksdb, which it is linked to. */
const FactoryFunc<FileSystem> &registered = ObjectLibrary::Default()->AddFactory<FileSystem>(
    ObjectLibrary::PatternEntry(JdbFileSystem::kClassName(), true).AddSeparator("://", false), new_file_system);

} // namespace
